// The part of mongosh that member.js uses, for node: `db` sends commands through PyMongo. Takes mongosh's arguments.
const { spawnSync } = require("node:child_process");
const { readFileSync } = require("node:fs");
const vm = require("node:vm");

const [file, uri] = process.argv.slice(2).reverse();
const send = `
import json, sys
from bson import json_util
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError
try:
    with MongoClient(sys.argv[1], serverSelectionTimeoutMS=3000) as client:
        print(json_util.dumps(client.admin.command(json.loads(sys.argv[2]))))
except OperationFailure as error:
    print(json.dumps({"message": str(error), "code": error.code}))
    sys.exit(1)
except PyMongoError as error:
    print(json.dumps({"message": str(error)}))
    sys.exit(1)
`;

function adminCommand(command) {
  const { status, stdout, stderr } = spawnSync(process.env.PYTHON, ["-c", send, uri, JSON.stringify(command)]);
  if (!stdout.length) throw new Error(String(stderr));
  const answer = JSON.parse(stdout);
  if (status) throw answer;
  return answer;
}

const db = { adminCommand, hello: () => adminCommand({ hello: 1 }) };
vm.runInNewContext(readFileSync(file, "utf8"), { db, process, print: console.log, quit: process.exit });
