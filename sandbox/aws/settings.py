"""The environment that ministack and moto read when they are imported."""

from __future__ import annotations

import os
import tempfile

from sandbox.state import State

__all__ = ["apply"]


def apply(state: State) -> None:
    """Set this process's environment for this sandbox; call it before ministack or moto is imported."""
    temporary = state.directory / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    for key in [key for key in os.environ if key.startswith(("AWS_", "MINISTACK_", "MOTO_"))]:
        del os.environ[key]
    os.environ.update(
        {
            "GATEWAY_PORT": str(state.ports["aws"]),
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_ACCOUNT_ID": state.account,
            "MINISTACK_REGION": state.region,
            "MOTO_ACCOUNT_ID": state.account,
            "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
            # Lambda functions inherit this environment; their endpoint is set by ministack itself.
            "AWS_EC2_METADATA_DISABLED": "true",
            # Nothing but the one port: no MQTT, no SFTP.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            # ministack would start containers (k3s, ECS tasks) and clear away old ones of its own; none of that here.
            "DOCKER_HOST": f"unix://{state.directory}/no-docker.sock",
            "LAMBDA_EXECUTOR": "local",
            # The code of Lambda functions is unpacked there, and goes with the sandbox.
            "TMPDIR": str(temporary),
            "STATE_DIR": str(temporary),
            "S3_DATA_DIR": str(temporary),
        }
    )
    tempfile.tempdir = str(temporary)
    os.environ.setdefault("LOG_LEVEL", "WARNING")
