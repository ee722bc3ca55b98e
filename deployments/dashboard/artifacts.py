"""An artifact that is replaced in place.

Prefect keeps every artifact that is created with a key, as versions. So an artifact is created once and
changed from then on. Versions that two processes created at once are deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

MISSING = 404


@dataclass(slots=True)
class InPlace:
    """One artifact. type: "markdown" or "table". Every call raises the client's errors."""

    client: PrefectClient
    key: str
    type: str
    _id: UUID | None = None
    _was_sought: bool = False
    _shown: tuple[Any, str] | None = None

    @property
    def id(self) -> UUID | None:
        """The artifact that was shown last, until it is removed."""
        return self._id

    async def show(self, data: Any, description: str, *, anew: bool = False) -> None:
        """Show `data`, unless the artifact shows it already. anew: write it in any case, because a person may
        have deleted the artifact."""
        if self._shown == (data, description) and not anew:
            return
        id = await self._known_id()
        if id is None or not await self._request(
            "PATCH", id, ArtifactUpdate(data=data, description=description)
        ):
            wanted = ArtifactCreate(key=self.key, type=self.type, data=data, description=description)
            self._id = (await self.client.create_artifact(wanted)).id
        self._shown = data, description

    async def remove(self) -> None:
        """Remove the artifact, if there is one."""
        id = await self._known_id()
        if id is not None:
            await self._request("DELETE", id)
        self._id = self._shown = None

    def forget(self) -> None:
        """Ask Prefect again what there is: another process may have written it."""
        self._id, self._was_sought, self._shown = None, False, None

    async def _known_id(self) -> UUID | None:
        if not self._was_sought:
            wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[self.key]))
            found = await self.client.read_artifacts(artifact_filter=wanted, limit=50)
            ids = [one.id for one in sorted(found, key=lambda one: str(one.created), reverse=True)]
            for older in ids[1:]:
                await self._request("DELETE", older)
            self._id, self._was_sought = next(iter(ids), None), True
        return self._id

    async def _request(self, method: str, id: UUID, change: ArtifactUpdate | None = None) -> bool:
        """False if somebody has deleted it.

        PrefectClient.update_artifact would also emit an event with the whole text, for each change.
        """
        body = change.model_dump(mode="json", exclude_unset=True) if change else None
        try:
            await self.client.request(method, "/artifacts/{id}", path_params={"id": id}, json=body)  # type: ignore[arg-type]
        except httpx.HTTPStatusError as error:
            if error.response.status_code != MISSING:
                raise
            return False
        return True
