#!/usr/bin/env bash
# Run ansible-test without the network it usually wants: tests/ansible-test.sh sanity|units [arguments]
# It insists on a real ansible_collections tree (no symlink) and on fetching get-pip.py, which is replaced by a pinned pip wheel.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
bin=$root/.venv/bin
tree=$root/build/ansible-test/ansible_collections/stable_diffusion/eks
cache=$HOME/.ansible/test/cache
pip_version=24.2

mkdir -p "$cache"
if [ ! -e "$cache/get_pip_${pip_version//./_}.py" ]; then
    "$bin/pip" download --quiet --no-deps --dest "$cache" "pip==$pip_version"
    cp "$root/tests/get_pip.py" "$cache/get_pip_${pip_version//./_}.py"
fi

rm -rf "$tree"
mkdir -p "$tree"
collections=$("$bin/python" -c 'import ansible_collections; print(*ansible_collections.__path__)')
for namespace in amazon ansible community kubernetes; do
    ln -sfn "$collections/$namespace" "$tree/../../$namespace"
done
cd "$root"
git ls-files --cached --others --exclude-standard -z |
    while IFS= read -r -d '' file; do [ -e "$file" ] && printf '%s\0' "$file"; done |
    tar --create --null --files-from - | tar --extract --directory "$tree"

cd "$tree"
git init --quiet  # else it asks the checkout around it, which ignores build/
export PATH="$bin:$PATH"
command=$1
shift
python=$("$bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
exec ansible-test "$command" --venv --python "$python" --requirements --color no "$@"
