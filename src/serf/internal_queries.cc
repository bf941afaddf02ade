// Queries that serf nodes put to each other (gossip-protocol facts 5.9): whose a name is, and the keys. The application
// never sees them. And what becomes of us when another node has our name.
#include <algorithm>
#include <cstdio>

#include "base/base64.h"
#include "serf/node.h"

namespace shoal::serf {
namespace {

constexpr std::string_view kConflictQuery = "_serf_conflict";
constexpr std::string_view kPingQuery = "_serf_ping";
constexpr Duration kDisputePause = 60s;
/// Of a key query's answer, beside the keys: names, lengths, the answer's own fields and the sender's name.
constexpr std::size_t kKeyTextMax = base64_size(wire::kAeadKeyBytesMax);
constexpr std::string_view kNoKeyring = "No keyring to modify (encryption not enabled)";
constexpr std::string_view kTooManyChanges = "Too many key changes at once";
constexpr std::string_view kEmptyKeyring = "Keyring is empty (encryption not enabled)";

}  // namespace

std::string_view query_name(KeyOperation operation) {
  switch (operation) {
    case KeyOperation::kList: return "_serf_list-keys";
    case KeyOperation::kInstall: return "_serf_install-key";
    case KeyOperation::kUse: return "_serf_use-key";
    case KeyOperation::kRemove: return "_serf_remove-key";
  }
  SHOAL_UNREACHABLE();
}

void Node::on_internal_query(const wire::Query& query, const QueryRef& ref) {
  if (query.name == kPingQuery) return;  // The ack was all.
  if (query.name == kConflictQuery) return answer_conflict(as_text(query.payload), ref);
  for (const KeyOperation operation :
       {KeyOperation::kList, KeyOperation::kInstall, KeyOperation::kUse, KeyOperation::kRemove}) {
    if (query.name == query_name(operation)) return on_key_query(operation, query.payload, ref);
  }
  ++counters_.unsupported;
}

// ---- Names

void Node::answer_conflict(std::string_view node, const QueryRef& ref) {
  if (node == name()) return;  // Who has the name is no judge.
  std::array<std::uint8_t, kQueryBytesMax> tags_memory;
  std::array<std::uint8_t, kQueryBytesMax> memory;
  ByteWriter tags(tags_memory);
  wire::ConflictResponse answer;
  if (const Member* member = members_.get(node)) {
    if (!wire::encode_member_tags(tags, member->meta())) return void(++counters_.malformed);
    wire::Member& told = answer.member.emplace();
    told.name = member->name.view();
    told.addr = member->profile.address();
    told.port = member->profile.port();
    told.tags = tags.written();
    told.status = static_cast<std::int64_t>(member->status);
    const swim::Versions v = member->versions();
    told.protocol_min = v[0], told.protocol_max = v[1], told.protocol_cur = v[2];
    told.delegate_min = v[3], told.delegate_max = v[4], told.delegate_cur = v[5];
  }
  ByteWriter writer(memory);
  wire::encode(writer, answer);
  if (writer.ok()) static_cast<void>(send_response(ref, writer.written(), 0));
}

// Another node has our name. The others are asked which of us they know by it. Serf shuts down whoever is in the
// minority; a task must not stop serving for that, so it goes on under a new name.
void Node::open_dispute(const Endpoint& other) {
  if (dispute_.token != 0 || now_ < dispute_.not_before || leave_ != Leave::kNo) return;
  const QueryParams params{.name = kConflictQuery, .payload = as_bytes(name())};
  dispute_.token = ask(params);
  dispute_.deadline = now_ + default_query_timeout();
  dispute_.other = other;
  dispute_.answers = 0;
  dispute_.ours = 0;
}

void Node::on_dispute_answer(Bytes payload) {
  wire::ConflictResponse answer;
  const bool known = !payload.empty() && payload[0] == static_cast<std::uint8_t>(wire::SerfType::kConflictResponse) &&
                     wire::decode(payload.subspan(1), answer);
  if (!known) return void(++counters_.malformed);
  ++dispute_.answers;
  if (!answer.member) return;
  const auto addr = IpAddress::from_raw(answer.member->addr);
  if (addr && same_place(Endpoint{*addr, answer.member->port}, swim_.self().endpoint())) ++dispute_.ours;
}

void Node::settle_dispute() {
  const Endpoint other = dispute_.other;
  const bool alone = dispute_.answers == 0;
  // Two nodes that know nobody else cannot both go: the lower address keeps the name.
  const bool keep = alone ? !higher_place(swim_.self().endpoint(), other) : dispute_.ours >= dispute_.answers / 2 + 1;
  open_queries_.close(dispute_.token);
  dispute_ = {};
  dispute_.not_before = now_ + kDisputePause;
  if (keep || leave_ != Leave::kNo) return;

  take_new_name(other);
}

void Node::give_way() {
  if (!dispute_.giving_way) return;
  const Endpoint other = dispute_.other;
  if (dispute_.token != 0) open_queries_.close(dispute_.token);
  dispute_ = {};
  dispute_.not_before = now_ + kDisputePause;
  if (leave_ == Leave::kNo) take_new_name(other);
}

void Node::take_new_name(const Endpoint& other) {
  const NodeName old = options_.swim.name;
  NodeName fresh;
  do {
    fresh = fresh_name(old.view());
  } while (members_.find(fresh.view()) != kNoSlot || swim_.members().find(fresh.view()) != swim::kNoSlot);
  if (const Slot slot = members_.find(old.view()); slot != kNoSlot) {
    members_.erase(slot);
    emit(MemberEventKind::kReap, old.view());
  }
  options_.swim.name = fresh;
  swim_.rename(now_, fresh, out_->net);
  broadcast_join_intent();
  out_->renames.push_back({old, fresh, other});
  // The name's owner was refused all this time; whoever told us of it knows it.
  if (!other.addr.empty() && !out_->strangers.full()) out_->strangers.push_back({other});
}

NodeName Node::fresh_name(std::string_view old) {
  constexpr std::size_t kTail = 6;
  NodeName name(old.substr(0, std::min(old.size(), swim::kNameBytesMax - kTail)));
  std::array<char, kTail> tail;
  tail[0] = '-';
  for (std::size_t i = 1; i < kTail; ++i) tail[i] = "0123456789abcdef"[rng_.below(std::uint64_t{16})];
  SHOAL_ASSERT(name.append({tail.data(), tail.size()}));
  return name;
}

// ---- Keys

void Node::on_key_query(KeyOperation operation, Bytes payload, const QueryRef& ref) {
  wire::KeyRequest request;
  // Serf does not look at what a list query carries.
  const bool known = operation == KeyOperation::kList ||
                     (!payload.empty() && payload[0] == static_cast<std::uint8_t>(wire::SerfType::kKeyRequest) &&
                      wire::decode(payload.subspan(1), request));
  if (!known) return void(++counters_.malformed);
  wire::Keyring& ring = swim_.keyring();
  wire::KeyResponse answer;
  if (ring.empty()) {
    answer.message = operation == KeyOperation::kList ? kEmptyKeyring : kNoKeyring;
    return send_key_answer(answer, ref);
  }
  wire::KeyResult result = wire::KeyResult::kOk;
  switch (operation) {
    case KeyOperation::kList: return answer_key_list(ref);
    case KeyOperation::kInstall: result = ring.add(request.key); break;
    case KeyOperation::kUse: result = ring.use(request.key); break;
    case KeyOperation::kRemove: result = ring.remove(request.key); break;
  }
  if (result == wire::KeyResult::kOk && !out_->keyring_changes.full()) {
    out_->keyring_changes.push_back({ref});
    return;
  }
  answer.message = result == wire::KeyResult::kOk ? kTooManyChanges : to_text(result);
  send_key_answer(answer, ref);
}

void Node::answer_key_change(Instant now, const QueryRef& ref, std::string_view error, Outbox& out) {
  begin(now, out);
  constexpr std::size_t kErrorMost = 256;
  send_key_answer(wire::KeyResponse{error.empty(), error.substr(0, kErrorMost), {}, {}}, ref);
  end();
}

bool Node::try_key_list(const QueryRef& ref, std::size_t shown) {
  const wire::Keyring& ring = swim_.keyring();
  std::array<std::uint8_t, wire::Keyring::kKeysMax * kKeyTextMax> texts_memory;
  ByteWriter texts(texts_memory);
  InlineVector<std::string_view, wire::Keyring::kKeysMax> keys;
  for (std::size_t i = 0; i < ring.size(); ++i) {
    const std::size_t begin = texts.size();
    base64_encode(texts, ring[i].raw());
    keys.push_back(as_text(texts.written().subspan(begin)));
  }
  std::array<std::uint8_t, kQueryBytesMax> list_memory;
  ByteWriter list(list_memory);
  wire::encode_key_list(list, std::span(keys.begin(), shown));
  FixedString<96> message;
  if (shown < ring.size()) {
    char text[96];
    std::snprintf(text, sizeof text, "truncated key list response, showing first %zu of %zu keys", shown, ring.size());
    message.assign_cut(text);
  }
  if (!list.ok()) return false;
  std::array<std::uint8_t, kQueryBytesMax> memory;
  ByteWriter writer(memory);
  wire::encode(writer, wire::KeyResponse{true, message.view(), list.written(), keys[0]});
  const bool sent = writer.ok() && send_response(ref, writer.written(), 0);
  wire::wipe(texts_memory);
  wire::wipe(list_memory);
  wire::wipe(memory);
  return sent;
}

// As many as fit into one answer.
void Node::answer_key_list(const QueryRef& ref) {
  for (std::size_t shown = swim_.keyring().size(); shown > 0; --shown) {
    if (try_key_list(ref, shown)) return;
  }
}

void Node::send_key_answer(const wire::KeyResponse& answer, const QueryRef& ref) {
  std::array<std::uint8_t, kQueryBytesMax> memory;
  ByteWriter writer(memory);
  wire::encode(writer, answer);
  SHOAL_ASSERT(writer.ok());
  static_cast<void>(send_response(ref, writer.written(), 0));
}

QueryToken Node::key_query(Instant now, KeyOperation operation, Bytes key, Outbox& out) {
  begin(now, out);
  std::array<std::uint8_t, 64> memory;
  ByteWriter writer(memory);
  wire::encode(writer, wire::KeyRequest{key});
  const QueryToken token =
      writer.ok() ? ask({.name = query_name(operation), .payload = writer.written()}) : QueryToken{0};
  wire::wipe(memory);
  end();
  return token;
}

}  // namespace shoal::serf
