#!/usr/bin/env bash
# Run the molecule scenarios (all, or those named) against an embedded AWS of their own, which is taken down afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
state=$PWD/build/molecule-sandbox
trap 'sandbox down --state "$state"' EXIT

sandbox up --only aws --state "$state"
eval "$(sandbox env --state "$state")"
export ANSIBLE_COLLECTIONS_PATH=$PWD/build/collections
if [ $# -eq 0 ]; then
    molecule test --all --report --workers 2
    # Its workers leave destroy out (they take the state for shared), and each scenario's destroy is a test, too.
    molecule destroy --all --report
else
    for scenario; do molecule test --scenario-name "$scenario"; done
fi
