"""ministack's EKS records, reached in one place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ministack.services import eks, iam

__all__ = ["Record", "Records"]

Record = dict[str, Any]


class Records:
    """Clusters and what belongs to them, in one account and region; records are ministack's own, not copies."""

    def __init__(self, account: str, region: str) -> None:
        self._account = account
        self._region = region

    def cluster(self, name: str) -> Record | None:
        """A cluster by its name."""
        return self._get(eks._clusters, name)

    def clusters(self) -> list[Record]:
        """Every cluster: one, or none."""
        return list(self._all(eks._clusters))

    def node_group(self, cluster: str, name: str) -> Record | None:
        """A node group by its cluster's name and its own."""
        return self._get(eks._nodegroups, f"{cluster}/{name}")

    def node_groups(self) -> list[Record]:
        """Every node group of every cluster."""
        return list(self._all(eks._nodegroups))

    def forget_addons(self, cluster: str) -> None:
        """Remove the add-ons of a cluster."""
        for account, region, key in [key for key, _ignored in eks._addons.all_items()]:
            if (account, region) == (self._account, self._region) and key.startswith(f"{cluster}/"):
                eks._addons.pop_scoped(account, region, key)

    def associations(self, namespace: str, service_account: str) -> list[Record]:
        """The Pod Identity associations of a service account."""
        return [
            record
            for record in self._all(eks._pod_identity_associations)
            if (record["namespace"], record["serviceAccount"]) == (namespace, service_account)
        ]

    def access_entry(self, cluster: str, principal_arn: str) -> Record | None:
        """The access entry of an IAM principal; of the role, for the session of an assumed one."""
        entry: Record | None = eks._access_entry_for_principal(cluster, self._account, self._region, principal_arn)
        return entry

    def access_policies(self, cluster: str, principal_arn: str) -> list[Record]:
        """The access policies associated with an entry: {policyArn, accessScope, …}."""
        found = eks._access_policy_associations(cluster, self._account, self._region)
        return [association for principal, _ignored, association in found if principal == principal_arn]

    def role(self, arn: str) -> Record | None:
        """An IAM role by its ARN."""
        record: Record | None = iam._roles.get_scoped(self._account, None, arn.rsplit("/", 1)[-1])
        return record if record and record.get("Arn") == arn else None

    def _get(self, store: Any, key: str) -> Record | None:
        record: Record | None = store.get_scoped(self._account, self._region, key)
        return record

    def _all(self, store: Any) -> Iterator[Record]:
        for (account, region, _ignored), record in store.all_items():
            if (account, region) == (self._account, self._region):
                yield record
