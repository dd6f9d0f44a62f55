"""The program behind the API, as routes get it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from app.bootstrap.program import Program


def get_program(request: Request) -> Program:
    """The program that `create_app` was given."""
    program = request.app.state.program
    assert isinstance(program, Program)
    return program


ProgramDep = Annotated[Program, Depends(get_program)]
