"""How long a campaign is held back where its server cannot be reached, or asks for a rest.

What passes by itself is tried again by itself, less and less often; what lasts is for a person.
"""

from __future__ import annotations

_FIRST_HOLD = 5.0
_LONGEST_HOLD = 900.0
#: After so many holds in a row (about an hour and a half) the campaign waits for a person.
LONGEST_HOLDS = 12
#: So many senders refused in a row are no fault of the letters: the account may not send as this.
SENDERS_REFUSED = 3
#: So many letters refused in a row, whoever they were for: the server takes none like these.
LETTERS_REFUSED = 10


def hold_for(holds: int) -> float:
    """Seconds to wait after `holds` holds in a row."""
    return float(min(_FIRST_HOLD * 2 ** min(holds, 20), _LONGEST_HOLD))
