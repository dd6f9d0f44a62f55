from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from tests.servers.redis import RedisServer


@pytest.mark.parametrize("_turn", [1, 2])
def test_is_empty(redis_url: str, _turn: int) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "over")


def test_it_loses_everything_and_stays_where_it_is(
    start_redis: Callable[..., RedisServer],
) -> None:
    server = start_redis()
    url = server.url
    with redis.Redis.from_url(url) as client:
        client.set("left", "over")
        server.kill()
        with pytest.raises(redis.ConnectionError):
            client.get("left")
        server.start()
        assert server.url == url
        assert client.get("left") is None
        client.set("left", "over")
        server.restart()
        assert client.get("left") is None


def test_frozen_it_is_silent(start_redis: Callable[..., RedisServer]) -> None:
    server = start_redis()
    server.freeze()
    with redis.Redis.from_url(server.url, socket_timeout=0.1, retry=None) as client:
        with pytest.raises(redis.TimeoutError):
            client.ping()
        server.thaw()
        assert client.ping()


def test_it_may_want_a_password(start_redis: Callable[..., RedisServer]) -> None:
    server = start_redis(password="hunter2")
    with (
        redis.Redis(host=server.host, port=server.port) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()
    with redis.Redis.from_url(server.url) as client:
        assert client.ping()
    with redis.Redis(unix_socket_path=server.socket, password="hunter2") as client:
        assert client.ping()
