"""IAM is ministack's; moto gets a copy of each role and instance profile, so that its EC2 can name them."""

from __future__ import annotations

import logging
import re
from urllib.parse import parse_qs

from moto.backends import get_backend

from sandbox.aws.asgi import App, Response, Scope, call

__all__ = ["IamMirror"]

_log = logging.getLogger(__name__)

# Policies stay with ministack: moto's EC2 asks for names only, and deletes a role without policies unasked.
_MIRRORED = re.compile(
    r"(Create|Delete|Update|Tag|Untag)(Role|InstanceProfile)"
    r"|(Add|Remove)Role(To|From)InstanceProfile|UpdateAssumeRolePolicy"
)


class IamMirror:
    """An observer of IAM requests that repeats the successful writes of roles and instance profiles on moto."""

    def __init__(self, moto: App, account: str) -> None:
        self._moto = moto
        self._account = account

    async def __call__(self, scope: Scope, body: bytes, response: Response) -> None:
        action = parse_qs(body.decode("utf-8", "replace")).get("Action", [""])[0]
        if response.status >= 300 or not _MIRRORED.fullmatch(action):
            return
        copy = await call(self._moto, scope, body)
        if copy.status >= 300:
            _log.warning("moto did not take over %s: %s", action, copy.body.decode("utf-8", "replace")[:300])
        self._same_ids()

    def _same_ids(self) -> None:
        """Give moto's copies the unique ids that ministack made, which callers have seen."""
        from ministack.services import iam

        backend = get_backend("iam")[self._account]["aws"]
        for role in list(backend.roles.values()):
            record = iam._roles.get_scoped(self._account, None, role.name)
            if record and record.get("RoleId") and role.id != record["RoleId"]:
                del backend.roles[role.id]
                role.id = record["RoleId"]
                backend.roles[role.id] = role
        for profile in list(backend.instance_profiles.values()):
            record = iam._instance_profiles.get_scoped(self._account, None, profile.name)
            if record and record.get("InstanceProfileId"):
                profile.id = record["InstanceProfileId"]
