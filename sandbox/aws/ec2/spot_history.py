"""DescribeSpotPriceHistory: one current price by type and zone, in pages (moto answers one price for all)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult

from sandbox.aws.ec2 import prices

__all__ = ["describe_spot_price_history"]

_PAGE = 1000


def describe_spot_price_history(self: Any) -> Any:
    """An action of moto's EC2Response."""
    page = min(int(self._get_param("MaxResults", _PAGE) or _PAGE), _PAGE)
    begin = int(self._get_param("NextToken") or 0)
    offers = self.ec2_backend.describe_spot_price_history(
        self._get_param("InstanceTypes", []), _filters(self._filters_from_querystring())
    )
    zone = self._get_param("AvailabilityZone")
    offers = [offer for offer in offers if zone in (None, offer["Location"])]
    now = datetime.now(UTC)
    history = [
        {
            "InstanceType": offer["InstanceType"],
            "AvailabilityZone": offer["Location"],
            "ProductDescription": "Linux/UNIX",
            "SpotPrice": f"{prices.spot(offer['InstanceType'], offer['Location']):.6f}",
            "Timestamp": now,
        }
        for offer in offers[begin : begin + page]
    ]
    end = begin + page
    return ActionResult({"SpotPriceHistory": history, "NextToken": str(end) if end < len(offers) else ""})


def _filters(given: dict[str, list[str]]) -> dict[str, list[str]]:
    """moto answers nothing to a filter it doesn't know; every price here is Linux's, so that one may be left away."""
    return {name: values for name, values in given.items() if name != "product-description"}
