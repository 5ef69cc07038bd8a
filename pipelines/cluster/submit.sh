#!/bin/sh
# Sends a stage to the cluster that RAY_API_SERVER_ADDRESS names; the code travels with it, data/ does not. JOB=file
# takes another environment than job.yaml.
#   pipelines/cluster/submit.sh synthesize --dataset rain
#   pipelines/cluster/submit.sh train --run dmgn-rain
#   pipelines/cluster/submit.sh evaluate --run dmgn-rain
set -eu
cd "$(dirname "$0")/../.."
stage=$1
shift
environment=${JOB:-pipelines/cluster/job.yaml}
exec ray job submit --working-dir . --runtime-env "$environment" -- python -m "pipelines.$stage" "$@"
