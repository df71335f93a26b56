#!/bin/bash
# The liveness probe: fails if nothing listens, and runs member.js if mongod is in no replica set.
#
# It sends MongoDB's `hello` as one message: mongosh takes more than a second of processor time and 150 MB for it.
# No answer in time is a success, so that a member that is merely slow is not restarted.
exec 3<>/dev/tcp/127.0.0.1/27017 || exit 1

# OP_MSG, https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/: {hello: 1, $db: "admin"}
printf '\x34\0\0\0\1\0\0\0\0\0\0\0\xdd\7\0\0\0\0\0\0\0\x1f\0\0\0\x10hello\0\1\0\0\0\2$db\0\6\0\0\0admin\0\0' >&3
length=$(timeout 5 head -c 4 <&3 | od -An -t u4)
[[ $length ]] || exit 0
timeout 5 head -c $((length - 4)) <&3 | grep -qa isreplicaset || exit 0  # a field that members do not have

timeout 20 mongosh --quiet --norc "mongodb://localhost/?directConnection=true" /member/member.js
exit 0
