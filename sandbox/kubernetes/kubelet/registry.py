"""Is an image there? The embedded ECR is asked for its own images, third-party ones are in the list of `images`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.kubernetes.kubelet import images
from sandbox.kubernetes.kubelet.images import Image, Reference

__all__ = ["PullError", "Pulled", "Registry"]

_ABSENT = ("ImageNotFoundException", "RepositoryNotFoundException")


@dataclass(frozen=True)
class Pulled:
    """An image that is on a node.

    Attributes:
        image: what stands for it; None if the table has nothing for it.
        digest: its imageID in container statuses.
        size: bytes in the registry.
    """

    image: Image | None
    digest: str
    size: int


class PullError(Exception):
    """An image cannot be had: the waiting state's reason, and a message as containerd words it."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Registry:
    """Every registry that the sandbox's nodes can reach.

    Args:
        ecr: a boto3 client of the embedded ECR.
        account: AWS account of the sandbox.
        region: its region.
    """

    def __init__(self, ecr: Any, account: str, region: str) -> None:
        self._ecr = ecr
        self._home = (account, region)

    async def pull(self, reference: Reference) -> Pulled:
        """Look an image up.

        Raises:
            PullError: it is not there, or the registry does not answer.
        """
        if reference.ecr is None:
            image = images.third_party(reference)
            if image is None:
                raise PullError("ErrImagePull", _not_found(reference))
            return Pulled(image, str(reference), 0)
        if reference.ecr != self._home:
            raise PullError("ErrImagePull", _no_access(reference))
        details = await asyncio.to_thread(self._describe, reference)
        digest = f"{reference.registry}/{reference.repository}@{details['imageDigest']}"
        return Pulled(images.OWN.get(reference.repository), digest, int(details.get("imageSizeInBytes") or 0))

    def _describe(self, reference: Reference) -> dict[str, Any]:
        wanted = {"imageDigest": reference.digest} if reference.digest else {"imageTag": reference.tag}
        try:
            answer = self._ecr.describe_images(repositoryName=reference.repository, imageIds=[wanted])
            details: dict[str, Any] = answer["imageDetails"][0]
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                raise PullError("ErrImagePull", _not_found(reference)) from error
            raise PullError("ErrImagePull", f"{_unresolved(reference)}: {error}") from error
        except BotoCoreError as error:
            raise PullError("ErrImagePull", f"{_unresolved(reference)}: failed to do request: {error}") from error
        except IndexError:
            raise PullError("ErrImagePull", _not_found(reference)) from None
        return details


def _unresolved(reference: Reference) -> str:
    return f'failed to pull and unpack image "{reference}": failed to resolve reference "{reference}"'


def _not_found(reference: Reference) -> str:
    return f"rpc error: code = NotFound desc = {_unresolved(reference)}: {reference}: not found"


def _no_access(reference: Reference) -> str:
    return (
        f"{_unresolved(reference)}: pull access denied, repository does not exist or may require authorization: "
        "authorization failed: no basic auth credentials"
    )
