#!/bin/bash
# Runs the given command, mongod, once this member's name resolves to this pod's address.
#
# At start-up mongod resolves the names of all members to find itself. If it does not, its state becomes REMOVED, and it
# does not retry. A pod that restarts has a new address, and DNS may still have the old one or none.
name=$POD_NAME.${POD_NAME%-*}
trap 'exit 143' TERM  # bash as process 1 ignores it by default

for ((tries = 0; ; tries++)); do
  addresses=$(timeout 10 getent ahosts "$name" | cut -d ' ' -f 1 | sort -u | xargs)
  [[ " $addresses " == *" $POD_IP "* ]] && break
  ((tries % 10)) || echo "waiting until $name resolves to $POD_IP; now it resolves to ${addresses:-nothing}"
  sleep 1
done
exec "$@"
