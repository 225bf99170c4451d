"""eks_access_entry where EKS made the entry between our look and our call."""

from __future__ import annotations

import pytest
from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change
from ansible_collections.stable_diffusion.eks.plugins.modules.eks_access_entry import _apply
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::123456789012:role/sd-node"


class Eks:
    """Has the entry already."""

    def create_access_entry(self, **kwargs):
        raise ClientError({"Error": {"Code": "ResourceInUseException", "Message": "it exists"}}, "CreateAccessEntry")


def create(kind):
    after = {"type": kind, "policies": {}}
    _apply(Eks(), {"cluster": "sd", "tags": {}}, Change("create", "access entry", ROLE, None, after))


def test_the_entry_that_eks_makes_for_a_node_group_is_as_good():
    create("EC2_LINUX")


def test_an_entry_of_a_person_is_not_taken_over_unseen():
    with pytest.raises(ClientError, match="it exists"):
        create("STANDARD")
