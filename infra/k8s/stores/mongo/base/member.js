// Run by mongosh, as the startup probe and by alive.sh: succeeds once this member of the replica set serves.
//
// The first member founds the set. That is safe to try again and again: mongod refuses it unless every member
// answers and none but itself has data, so a first member that lost its disk cannot found a second, empty set.
//
// A mongod that is REMOVED although its configuration names it did not find itself, and does not look again: it is
// shut down, and starts again once its name is right (start.sh). One that was taken out of the set is left running.

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

const config = configuration(); // before hello: a mongod that is still loading it is not in the set yet either
const hello = db.hello();

if (hello.isWritablePrimary || hello.secondary) quit(0);

const isRemoved = config && hello.isreplicaset;
if (isRemoved && config.members.some((member) => member.host === host(ordinal))) {
  print(`REMOVED: mongod did not find itself as ${host(ordinal)}; shutting it down, to start it again`);
  tryTo({ shutdown: 1 });
} else if (isRemoved) {
  print(`not a member: ${host(ordinal)} was taken out of the replica set`);
} else {
  print(`not yet a member that serves: ${hello.info ?? "starting"}`);
  if (!config && ordinal === "0") {
    const members = [...Array(Number(process.env.MEMBERS)).keys()].map((i) => ({ _id: i, host: host(i) }));
    tryTo({ replSetInitiate: { _id: "rs0", members } });
  }
}
quit(1);
