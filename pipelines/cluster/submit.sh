#!/bin/sh
# Sends a stage with the code, without data/, to the cluster at RAY_API_SERVER_ADDRESS. JOB=file replaces job.yaml.
#   pipelines/cluster/submit.sh synthesize --dataset rain
#   pipelines/cluster/submit.sh train --run dmgn-reflection
#   pipelines/cluster/submit.sh evaluate --run dmgn-reflection
set -eu
cd "$(dirname "$0")/../.."
stage=$1
shift
environment=${JOB:-pipelines/cluster/job.yaml}
exec ray job submit --working-dir . --runtime-env "$environment" -- python -m "pipelines.$stage" "$@"
