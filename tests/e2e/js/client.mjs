// SPDX-License-Identifier: Apache-2.0
// A Matrix client with encryption that is not ours: matrix-js-sdk with its Rust crypto, as Element has it.
//
//   node client.mjs        one client; node_modules beside this file
//
// Commands come as lines of JSON on stdin, {"id":1,"do":"rotate","room":"!..."}, and run one after the other; each is
// answered on stdout by {"id":1,"ok":...} or {"id":1,"error":{"code":...,"text":...}}. Between the answers:
//
//   {"event":{...}}       an event of a room's timeline, again whenever something about it changed: it was decrypted,
//                         or that failed. "order" sorts a room's events as the server's timeline has them.
//   {"sync":"SYNCING"}    what the sync became
//   {"invite":"!..."}     a room that it was invited to
//   {"fault":"..."}       an error that nobody caught
//
// It ends when stdin does. All that a browser would keep in IndexedDB is kept in memory, written to the file `store`
// by `stop`, and read from there by `create`: so a client can be stopped, and go on in another process.

import { Console } from "node:console";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { deserialize, serialize } from "node:v8";
import { webcrypto } from "node:crypto";

globalThis.console = new Console(process.stderr, process.stderr); // stdout is for answers
globalThis.crypto ??= webcrypto; // node 18
Promise.withResolvers ??= function () {
    // before node 22
    let resolve, reject;
    const promise = new this((yes, no) => ([resolve, reject] = [yes, no]));
    return { promise, resolve, reject };
};
process.on("uncaughtException", (error) => tell({ fault: told(error) }));
process.on("unhandledRejection", (error) => tell({ fault: told(error) }));

await import("fake-indexeddb/auto");
const sdk = await import("matrix-js-sdk");
const { AllDevicesIsolationMode, EventShieldColour, EventShieldReason, OnlySignedDevicesIsolationMode, VerificationPhase } = await import(
    "matrix-js-sdk/lib/crypto-api/index.js"
);
const { encryptAttachment, decryptAttachment } = (await import("matrix-encrypt-attachment")).default;

// Its own logger says much at every message; JS_LOG=1 lets it.
const ignore = () => {};
const quiet = { trace: ignore, debug: ignore, info: ignore, warn: ignore, error: console.error, getChild: () => quiet };
const logger = process.env.JS_LOG ? undefined : quiet;
if (logger) (await import("matrix-js-sdk/lib/logger.js")).logger.setLevel("error", false);

const PAGE = 100; // Synapse gives no more events of a room in one answer
let client, crypto, settings;

// -- talking

function tell(line) {
    process.stdout.write(JSON.stringify(line) + "\n");
}

function told(error) {
    return String(error?.stack ?? error);
}

function refusal(error) {
    return { code: error?.errcode ?? error?.name ?? "Error", text: String(error?.message ?? error), stack: told(error) };
}

// -- what the browser's database holds, as a file

function asked(request) {
    return new Promise((yes, no) => {
        request.onsuccess = () => yes(request.result);
        request.onerror = () => no(request.error);
    });
}

async function dump() {
    const all = [];
    for (const { name, version } of await indexedDB.databases()) {
        const database = await asked(indexedDB.open(name));
        const stores = [];
        for (const title of database.objectStoreNames) {
            const store = database.transaction(title).objectStore(title);
            const indexes = [...store.indexNames].map((each) => store.index(each));
            stores.push({
                title,
                options: { keyPath: store.keyPath, autoIncrement: store.autoIncrement },
                indexes: indexes.map((i) => [i.name, i.keyPath, { unique: i.unique, multiEntry: i.multiEntry }]),
                keys: await asked(store.getAllKeys()),
                values: await asked(store.getAll()),
            });
        }
        database.close();
        all.push({ name, version, stores });
    }
    return serialize(all);
}

// A key that is to be forgotten is not brought back: the store names it by room and session.
function forgotten(title, key) {
    return title.startsWith("inbound_group_sessions") && settings.forget?.includes(String(key).split("\x1d")[1]);
}

function make(database, stores) {
    for (const { title, options, indexes, keys, values } of stores) {
        const store = database.createObjectStore(title, options);
        indexes.forEach((index) => store.createIndex(...index));
        values.forEach((value, at) => {
            if (!forgotten(title, keys[at])) store.put(value, ...(options.keyPath === null ? [keys[at]] : []));
        });
    }
}

async function restore(bytes) {
    for (const { name, version, stores } of deserialize(bytes)) {
        const request = indexedDB.open(name, version);
        request.onupgradeneeded = () => make(request.result, stores);
        (await asked(request)).close();
    }
}

// -- the timeline
//
// A position is [run, segment, number]. A new segment begins when the server leaves something out of a sync; what was
// left out is asked for at once, and stands at the segment's beginning: its numbers are negative. Until all of it has
// come, nothing of that room is told.

const places = new Map(); // event id -> position
const rooms = new Map(); // room id -> {segment, first, last, gap, held}
let reports = Promise.resolve(); // one after the other, so that an older state never follows a newer one

function roomOf(id) {
    if (!rooms.has(id)) rooms.set(id, { segment: 0, first: 0, last: 0, gap: false, held: [] });
    return rooms.get(id);
}

function place(event, backwards) {
    const id = event.getId();
    if (places.has(id)) return false;
    const room = roomOf(event.getRoomId());
    places.set(id, [settings.run, room.segment, backwards ? --room.first : ++room.last]);
    return true;
}

function report(event) {
    const room = roomOf(event.getRoomId());
    if (room.gap) room.held.push(event);
    else reports = reports.then(() => describe(event)).then((said) => tell({ event: said }), (error) => tell({ fault: told(error) }));
}

function stateOf(event) {
    if (event.isDecryptionFailure()) return "failed";
    return event.getType() === "m.room.encrypted" ? "waiting" : "clear";
}

async function describe(event) {
    const wire = event.getWireContent();
    const state = stateOf(event);
    const encrypted = event.getWireType() === "m.room.encrypted";
    return {
        room: event.getRoomId(),
        id: event.getId(),
        sender: event.getSender(),
        kind: event.getType(),
        content: state === "clear" ? event.getOriginalContent() : {},
        ts: event.getTs(),
        order: places.get(event.getId()),
        membership: event.getMembershipAtEvent() ?? null,
        encrypted,
        state,
        reason: state === "failed" ? event.decryptionFailureReason : null,
        text: state === "failed" ? (event.getContent().body ?? null) : null,
        session: encrypted ? (wire.session_id ?? null) : null,
        device: encrypted ? (wire.device_id ?? null) : null,
        ...(await shield(event)),
    };
}

async function shield(event) {
    const info = event.getWireType() === "m.room.encrypted" ? await crypto.getEncryptionInfoForEvent(event) : null;
    return {
        colour: info ? EventShieldColour[info.shieldColour] : null,
        why: info && info.shieldReason !== null ? EventShieldReason[info.shieldReason] : null,
    };
}

function saw(event, room, backwards, removed) {
    if (removed || event.status !== null || !place(event, backwards)) return;
    report(event);
    if (event.getType() === "m.room.encrypted") void client.decryptEventIfNeeded(event);
}

// What we sent has come back to us.
function echoed(event) {
    if (event.status === null && place(event, false)) report(event);
}

function interrupted(room, set) {
    if (set !== room?.getUnfilteredTimelineSet()) return;
    const it = roomOf(room.roomId);
    Object.assign(it, { segment: it.segment + 1, first: 0, last: 0, gap: true });
}

async function fill(room) {
    const it = roomOf(room.roomId);
    const live = room.getLiveTimeline();
    const known = (event) => places.get(event.getId())?.[1] !== it.segment;
    try {
        while (await client.paginateEventTimeline(live, { backwards: true, limit: PAGE })) {
            if (live.getEvents().some(known)) break;
        }
    } finally {
        it.gap = false;
        const place = (event) => places.get(event.getId());
        it.held.sort((one, other) => place(one)[1] - place(other)[1] || place(one)[2] - place(other)[2]);
        it.held.splice(0).forEach(report);
    }
}

function fillGaps() {
    for (const [id, it] of rooms) {
        if (it.gap && !it.filling) {
            it.filling = true;
            fill(client.getRoom(id)).finally(() => (it.filling = false));
        }
    }
}

function find({ room, event }) {
    const found = client.getRoom(room)?.findEventById(event);
    if (!found) throw new Error(`no event ${event} in ${room}`);
    return found;
}

// -- a life

// For a user of an application service: its token, and whose request it is.
function masquerade(url, options) {
    const to = new URL(url);
    to.searchParams.set("user_id", settings.user);
    to.searchParams.set("device_id", settings.device);
    return fetch(to, options);
}

async function login() {
    const answer = await sdk.createClient({ baseUrl: settings.url, logger }).loginRequest({
        type: "m.login.password",
        identifier: { type: "m.id.user", user: settings.user },
        password: settings.password,
        initial_device_display_name: "tests",
    });
    return { token: answer.access_token, device: answer.device_id };
}

function listen() {
    client.on(sdk.RoomEvent.Timeline, saw);
    client.on(sdk.RoomEvent.LocalEchoUpdated, echoed);
    client.on(sdk.RoomEvent.TimelineReset, interrupted);
    client.on(sdk.RoomEvent.MyMembership, (room, membership) => membership === "invite" && tell({ invite: room.roomId }));
    client.on(sdk.MatrixEventEvent.Decrypted, (event) => places.has(event.getId()) && report(event));
    client.on(sdk.ClientEvent.Sync, (state) => {
        fillGaps();
        tell({ sync: state });
    });
}

function synced(wanted) {
    return new Promise((yes) => {
        const look = (state) => wanted.includes(state) && (client.off(sdk.ClientEvent.Sync, look), yes());
        client.on(sdk.ClientEvent.Sync, look);
    });
}

// Signing: "new" makes an identity and signs the device with it, {...} is another device's bundle of secrets, else none.
async function sign(how) {
    if (how === "new") {
        await crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: async (upload) => void (await upload(null)) });
    } else if (how) {
        await crypto.importSecretsBundle(how);
        await crypto.crossSignDevice(settings.device);
    }
}

async function create(asked) {
    settings = { run: 0, ...asked };
    if (settings.store && existsSync(settings.store)) await restore(readFileSync(settings.store));
    if (!settings.token) Object.assign(settings, await login());
    const store = new sdk.IndexedDBStore({ indexedDB, dbName: "sync", localStorage: undefined });
    client = sdk.createClient({
        baseUrl: settings.url,
        userId: settings.user,
        deviceId: settings.device,
        accessToken: settings.token,
        fetchFn: settings.masquerade ? masquerade : undefined,
        store,
        logger,
        cryptoCallbacks: { getSecretStorageKey: async () => null },
    });
    await store.startup();
    await client.initRustCrypto({ cryptoDatabasePrefix: "crypto" });
    crypto = client.getCrypto();
    crypto.setDeviceIsolationMode(settings.strict ? new OnlySignedDevicesIsolationMode() : new AllDevicesIsolationMode(false));
    await sign(settings.sign);
    listen();
    const prepared = synced(["SYNCING"]); // PREPARED comes for what was kept, too
    const filter = new sdk.Filter(settings.user);
    filter.setDefinition({ room: { timeline: { limit: PAGE } }, presence: { types: [] } });
    await client.startClient({ initialSyncLimit: PAGE, filter, pendingEventOrdering: "detached" });
    await prepared;
    return { user: settings.user, device: settings.device, token: settings.token, keys: await crypto.getOwnDeviceKeys() };
}

async function stop() {
    const stopped = synced(["STOPPED"]);
    client.syncApi.stop(); // ends the answer that is being worked through
    await stopped;
    await reports;
    await client.store.save(true);
    client.stopClient();
    if (!settings.store) return null;
    writeFileSync(settings.store + ".new", await dump(), { mode: 0o600 });
    renameSync(settings.store + ".new", settings.store);
    return null;
}

// -- attachments

async function upload({ data, mimetype, secret }) {
    const plain = Buffer.from(data, "base64");
    if (!secret) return { url: (await client.uploadContent(plain, { type: mimetype, includeFilename: false })).content_uri };
    const { data: cipher, info } = await encryptAttachment(plain);
    const options = { type: "application/octet-stream", includeFilename: false };
    const { content_uri: url } = await client.uploadContent(Buffer.from(cipher), options);
    return { file: { ...info, url } };
}

async function download({ content }) {
    const [, server, media] = /^mxc:\/\/([^/]+)\/([^/]+)$/.exec(content.file?.url ?? content.url);
    const answer = await (settings.masquerade ? masquerade : fetch)(`${settings.url}/_matrix/client/v1/media/download/${server}/${media}`, {
        headers: { Authorization: `Bearer ${settings.token}` },
    });
    if (!answer.ok) throw new Error(`media: HTTP ${answer.status}`);
    let bytes = Buffer.from(await answer.arrayBuffer());
    if (content.file) bytes = Buffer.from(await decryptAttachment(bytes, content.file)); // throws when the hash is another
    return bytes.toString("base64");
}

// -- verification

// Asks somebody, in a room or at one of his devices, to verify himself, and waits until the request came to something.
async function verify({ user, room, device }) {
    const request = await (device ? crypto.requestDeviceVerification(user, device) : crypto.requestVerificationDM(user, room));
    return new Promise((yes) => {
        const look = () => {
            if (request.phase > VerificationPhase.Requested) yes({ phase: VerificationPhase[request.phase], code: request.cancellationCode });
        };
        request.on("change", look);
        look();
    });
}

async function devices({ user }) {
    const found = (await crypto.getUserDeviceInfo([user], true)).get(user) ?? new Map();
    return Promise.all(
        [...found.values()].map(async (device) => {
            const status = await crypto.getDeviceVerificationStatus(user, device.deviceId);
            return { device: device.deviceId, keys: Object.fromEntries(device.keys), signed: status?.signedByOwner ?? false };
        }),
    );
}

async function identity({ user }) {
    const exists = await crypto.userHasCrossSigningKeys(user, true);
    const status = await crypto.getUserVerificationStatus(user);
    return { exists, changed: status.needsUserApproval, verified: status.isCrossSigningVerified() };
}

async function encrypt({ room, kind, content }) {
    const event = new sdk.MatrixEvent({ type: kind, content, room_id: room, sender: settings.user, event_id: `~${places.size}` });
    await crypto.encryptEvent(event, client.getRoom(room));
    return { kind: event.getWireType(), content: event.getWireContent() };
}

const commands = {
    create,
    stop,
    upload,
    download,
    devices,
    identity,
    encrypt,
    send: async ({ room, kind, content }) => (await client.sendEvent(room, kind, content)).event_id,
    join: async ({ room }) => (await client.joinRoom(room)).roomId,
    leave: async ({ room }) => void (await client.leave(room)),
    // The members that this client knows of, and whether it would encrypt: both decide who gets a key.
    knows: async ({ room }) => ({
        members: client.getRoom(room)?.getJoinedMembers().map((member) => member.userId) ?? [],
        encrypted: await crypto.isEncryptionEnabledInRoom(room),
    }),
    rotate: ({ room }) => crypto.forceDiscardSession(room),
    shield: (which) => shield(find(which)),
    // The sessions that it can read, in no order.
    keys: async () => (await crypto.exportRoomKeys()).map((key) => ({ room: key.room_id, session: key.session_id })),
    secrets: () => crypto.exportSecretsBundle(),
    logout: async () => void (await client.logout(true)),
};
const aside = { verify }; // these may take long, and hold up nobody

async function obey({ id, do: what, ...rest }) {
    try {
        const command = commands[what] ?? aside[what];
        if (!command) throw new Error(`no command ${what}`);
        tell({ id, ok: (await command(rest)) ?? null });
    } catch (error) {
        tell({ id, error: refusal(error) });
    }
}

let turn = Promise.resolve();
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
    const command = JSON.parse(line);
    if (command.do in aside) void obey(command);
    else turn = turn.then(() => obey(command));
});
lines.on("close", () => process.exit(0));
tell({ sync: "READY" });
