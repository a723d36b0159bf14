# The same rollout, started: copies are compared, and no user has met the candidate yet.
. "$(dirname "${BASH_SOURCE[0]}")/rollout.sh"
shadowproxy rollout start >/dev/null
