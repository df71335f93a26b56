// Run by mongosh, as the startup probe and by alive.sh: succeeds once this member of the replica set serves.
//
// The first member initiates the set. Retries are safe: mongod rejects the command unless every member answers and
// no other member has data, so a first member that lost its disk cannot initiate a second, empty set.
//
// A mongod is REMOVED although its configuration contains it if it did not find itself at start-up. It does not retry,
// so this shuts it down; it starts again once its name resolves (start.sh). A member that was removed from the set on
// purpose keeps running.

const [, set, ordinal] = process.env.POD_NAME.match(/^(.+)-(\d+)$/);
const host = (i) => `${set}-${i}.${set}:27017`;

const NOT_YET_INITIALIZED = 94;

function configuration() {
  try {
    return db.adminCommand({ replSetGetConfig: 1 }).config;
  } catch (error) {
    if (error.code === NOT_YET_INITIALIZED) return null;
    throw error;
  }
}

function tryTo(command) {
  try {
    db.adminCommand(command);
  } catch (error) {
    print(error.message);
  }
}

const config = configuration(); // before hello: a mongod that is still loading it is not yet in the set
const hello = db.hello();

if (hello.isWritablePrimary || hello.secondary) quit(0);

const isRemoved = config && hello.isreplicaset;
if (isRemoved && config.members.some((member) => member.host === host(ordinal))) {
  print(`REMOVED: mongod did not find itself as ${host(ordinal)}; shutting it down to restart it`);
  tryTo({ shutdown: 1 });
} else if (isRemoved) {
  print(`not a member: ${host(ordinal)} was removed from the replica set`);
} else {
  print(`not yet serving: ${hello.info ?? "starting"}`);
  if (!config && ordinal === "0") {
    const members = [...Array(Number(process.env.MEMBERS)).keys()].map((i) => ({ _id: i, host: host(i) }));
    tryTo({ replSetInitiate: { _id: "rs0", members } });
  }
}
quit(1);
