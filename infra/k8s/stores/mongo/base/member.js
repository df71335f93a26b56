// Run by mongosh as the startup probe: succeeds once this member of the replica set serves.
//
// The first member founds the set. That is safe to try again and again: mongod refuses it unless every member
// answers and none but itself has data, so a first member that lost its disk cannot found a second, empty set.

const [, set, ordinal] = process.env.POD_NAME.match(/^(.+)-(\d+)$/);
const hello = db.hello();

if (hello.isWritablePrimary || hello.secondary) quit(0);

if (hello.isreplicaset && ordinal === "0") {
  const members = [...Array(Number(process.env.MEMBERS)).keys()].map((i) => ({ _id: i, host: `${set}-${i}.${set}:27017` }));
  try {
    rs.initiate({ _id: "rs0", members });
  } catch (error) {
    print(error.message);
  }
}
print(`not yet a member that serves: ${hello.info ?? "starting"}`);
quit(1);
