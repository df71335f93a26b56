#!/bin/bash
# The liveness probe: fails if nothing listens on the port, and runs member.js if mongod is in no replica set.
#
# It sends MongoDB's `hello` as a raw message, because mongosh needs more than a second of CPU time and 150 MB for it.
# It succeeds if no answer arrives in time, so that a slow member is not restarted.
exec 3<>/dev/tcp/127.0.0.1/27017 || exit 1

# OP_MSG, https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/: {hello: 1, $db: "admin"}
printf '\x34\0\0\0\1\0\0\0\0\0\0\0\xdd\7\0\0\0\0\0\0\0\x1f\0\0\0\x10hello\0\1\0\0\0\2$db\0\6\0\0\0admin\0\0' >&3
length=$(timeout 5 head -c 4 <&3 | od -An -t u4)
[[ $length ]] || exit 0
timeout 5 head -c $((length - 4)) <&3 | grep -qa isreplicaset || exit 0  # a field that only a mongod outside of a set sends

timeout 20 mongosh --quiet --norc "mongodb://localhost/?directConnection=true" /member/member.js
exit 0
