// The messages of memberlist ("ML") and serf ("SF") as plain values, and their codecs. No state, no time.
//
// Decoded text and bytes are borrowed from the input; encoders write the type byte first. On the wire each is a msgpack
// map in the *old raw* flavour (no str8, no bin), keys being Go's field names in ascending order: see msgpack.h for
// what is tolerated when reading. Values of enumerators are frozen: they are the wire format. Source: gossip-protocol
// facts sections 1.2, 2 and 5.1; golden vectors G01-G37 in test/vectors.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.h"

namespace shoal::wire {

enum class MessageType : std::uint8_t {
  kPing = 0,
  kIndirectPing = 1,
  kAck = 2,
  kSuspect = 3,
  kAlive = 4,
  kDead = 5,
  kPushPull = 6,
  kCompound = 7,
  kUser = 8,
  kCompress = 9,
  kEncrypt = 10,
  kNack = 11,
  kHasCrc = 12,
  kErr = 13,
  kHasLabel = 244,
};

enum class SerfType : std::uint8_t {
  kLeave = 0,
  kJoin = 1,
  kPushPull = 2,
  kUserEvent = 3,
  kQuery = 4,
  kQueryResponse = 5,
  kConflictResponse = 6,
  kKeyRequest = 7,
  kKeyResponse = 8,
  kRelay = 9,
};

// ---- ML. Omitted on the wire when empty: the source fields of Ping and IndirectPing.

struct Ping {
  std::uint32_t seq_no = 0;
  std::string_view node;
  Bytes source_addr{};
  std::uint16_t source_port = 0;
  std::string_view source_node{};
};

struct IndirectPing {
  std::uint32_t seq_no = 0;
  Bytes target{};          // Address of the node to ping: 4 or 16 bytes.
  std::uint16_t port = 0;  // 0 = the reader's own bind port.
  std::string_view node;
  bool nack = false;
  Bytes source_addr{};
  std::uint16_t source_port = 0;
  std::string_view source_node{};
};

struct Ack {
  std::uint32_t seq_no = 0;
  Bytes payload{};  // Written as nil when empty.
};

struct Nack {
  std::uint32_t seq_no = 0;
};

struct Err {
  std::string_view error;
};

/// Suspect and Dead have the same fields. A Dead whose `from` is its `node` means left.
struct Suspect {
  std::uint32_t incarnation = 0;
  std::string_view node;
  std::string_view from;
};
struct Dead {
  std::uint32_t incarnation = 0;
  std::string_view node;
  std::string_view from;
};

struct Alive {
  std::uint32_t incarnation = 0;
  std::string_view node;
  Bytes addr{};  // Raw, as received: 4 or 16 bytes; anything else is the receiver's to refuse.
  std::uint16_t port = 0;
  Bytes meta{};
  Bytes vsn{};  // Exactly 6 bytes when we write it.
};

struct PushPullHeader {
  bool join = false;
  std::uint32_t nodes = 0;           // At most kPushPullNodesMax.
  std::uint32_t user_state_len = 0;  // At most kUserBytesMax.
};
inline constexpr std::uint32_t kPushPullNodesMax = 1'048'576;
inline constexpr std::uint32_t kUserBytesMax = 20 * 1024 * 1024;

struct NodeState {
  std::string_view name;
  Bytes addr{};
  std::uint16_t port = 0;
  Bytes meta{};
  std::uint32_t incarnation = 0;
  std::uint8_t state = 0;  // 0 alive, 1 suspect, 2 dead, 3 left; 255 = some other number, which Go peers ignore.
  Bytes vsn{};
};

struct UserHeader {
  std::uint32_t user_msg_len = 0;  // TCP only; at most kUserBytesMax.
};

// ---- SF: the payload of an ML user message.

struct LeaveIntent {
  std::uint64_t ltime = 0;
  std::string_view node;
  bool prune = false;
};

struct JoinIntent {
  std::uint64_t ltime = 0;
  std::string_view node;
};

struct UserEvent {
  std::uint64_t ltime = 0;
  std::string_view name;
  Bytes payload{};
  bool cc = false;
};

inline constexpr std::uint32_t kQueryFlagAck = 1;
inline constexpr std::uint32_t kQueryFlagNoBroadcast = 2;
inline constexpr std::uint32_t kResponseFlagAck = 1;

struct Query {
  std::uint64_t ltime = 0;
  std::uint32_t id = 0;
  Bytes addr{};  // Where the answer goes.
  std::uint16_t port = 0;
  std::string_view source_node;
  Bytes filters{};  // The encoded list of filter blobs, list header included; empty = none (written as nil). Walk it
                    // with FilterReader.
  std::uint32_t flags = 0;
  std::uint8_t relay_factor = 0;
  std::int64_t timeout_ns = 0;
  std::string_view name;
  Bytes payload{};
};

struct QueryResponse {
  std::uint64_t ltime = 0;
  std::uint32_t id = 0;
  std::string_view from;
  std::uint32_t flags = 0;
  Bytes payload{};  // Written as nil when empty.
};

struct Relay {
  Bytes dest_ip{};
  std::uint16_t dest_port = 0;
  std::string_view dest_name;
  Bytes message{};  // What follows the header: type byte and body, to be sent on unchanged.
};

// ---- SF: what is the payload of a query or its response (facts 5.9).

/// A member as a node tells it of another, to settle whose a name is.
struct Member {
  std::string_view name;
  Bytes addr{};  // Raw: 4 or 16 bytes.
  std::uint16_t port = 0;
  Bytes tags{};             // The encoded map, header included, see encode_member_tags; empty = nil.
  std::int64_t status = 0;  // serf's: 0 none, 1 alive, 2 leaving, 3 left, 4 failed.
  std::uint8_t protocol_min = 0, protocol_max = 0, protocol_cur = 0;
  std::uint8_t delegate_min = 0, delegate_max = 0, delegate_cur = 0;
};
struct ConflictResponse {
  std::optional<Member> member;  // Nothing: the node that answers knows nobody of that name.
};

struct KeyRequest {
  Bytes key{};  // Raw; nothing in a list request.
};

struct KeyResponse {
  bool result = false;
  std::string_view message{};
  Bytes keys{};  // The encoded list, see encode_key_list and for_each_key; empty = nil.
  std::string_view primary_key{};
};

// ---- Codecs. `encode` writes type byte and body; the writer's sticky failure says whether it fitted. Empty bytes are
// ---- written as nil. Alive and NodeState also fail unless `vsn` is 6 bytes: anything else crashes or poisons Go
// peers.
// ---- `decode` takes the body behind the type byte: false = malformed, `out` is then not to be used. Bytes behind the
// ---- object are ignored, unknown keys skipped, missing ones zero.

void encode(ByteWriter& out, const Ping& m);
void encode(ByteWriter& out, const IndirectPing& m);
void encode(ByteWriter& out, const Ack& m);
void encode(ByteWriter& out, const Nack& m);
void encode(ByteWriter& out, const Err& m);
void encode(ByteWriter& out, const Suspect& m);
void encode(ByteWriter& out, const Dead& m);
void encode(ByteWriter& out, const Alive& m);
void encode(ByteWriter& out, const PushPullHeader& m);
void encode(ByteWriter& out, const NodeState& m);  // No type byte: one of the maps that follow a push/pull header.
void encode(ByteWriter& out, const UserHeader& m);

[[nodiscard]] bool decode(Bytes body, Ping& out);
[[nodiscard]] bool decode(Bytes body, IndirectPing& out);
[[nodiscard]] bool decode(Bytes body, Ack& out);
[[nodiscard]] bool decode(Bytes body, Nack& out);
[[nodiscard]] bool decode(Bytes body, Err& out);
[[nodiscard]] bool decode(Bytes body, Suspect& out);
[[nodiscard]] bool decode(Bytes body, Dead& out);
[[nodiscard]] bool decode(Bytes body, Alive& out);
// Pieces of a stream. The limits above are for the reader of the stream to apply.
[[nodiscard]] bool decode(Bytes body, PushPullHeader& out);
[[nodiscard]] bool decode(Bytes body, NodeState& out);
[[nodiscard]] bool decode(Bytes body, UserHeader& out);

void encode(ByteWriter& out, const LeaveIntent& m);
void encode(ByteWriter& out, const JoinIntent& m);
void encode(ByteWriter& out, const UserEvent& m);
void encode(ByteWriter& out, const Query& m);
void encode(ByteWriter& out, const QueryResponse& m);
/// Header and `message`.
void encode(ByteWriter& out, const Relay& m);

[[nodiscard]] bool decode(Bytes body, LeaveIntent& out);
[[nodiscard]] bool decode(Bytes body, JoinIntent& out);
[[nodiscard]] bool decode(Bytes body, UserEvent& out);
[[nodiscard]] bool decode(Bytes body, Query& out);
[[nodiscard]] bool decode(Bytes body, QueryResponse& out);
[[nodiscard]] bool decode(Bytes body, Relay& out);

void encode(ByteWriter& out, const ConflictResponse& m);
void encode(ByteWriter& out, const KeyRequest& m);
void encode(ByteWriter& out, const KeyResponse& m);

[[nodiscard]] bool decode(Bytes body, ConflictResponse& out);
[[nodiscard]] bool decode(Bytes body, KeyRequest& out);
[[nodiscard]] bool decode(Bytes body, KeyResponse& out);

/// Writes Member::tags out of a record's Meta, whether that has tags or is a role alone. False: malformed.
[[nodiscard]] bool encode_member_tags(ByteWriter& out, Bytes meta);

/// Writes KeyResponse::keys out of keys in base64. Fewer of them is how an answer is made to fit: nothing else in it
/// grows.
void encode_key_list(ByteWriter& out, std::span<const std::string_view> keys);
/// Calls f(text) for each of KeyResponse::keys, which a decoder has checked.
template <typename F>
void for_each_key(Bytes keys, F&& f);

// ---- Coordinates: what stands in the payload of an ack (facts 5.8).

struct Coordinate {
  static constexpr std::size_t kDimensions = 8;
  std::array<double, kDimensions> vec{};  // All numbers in seconds.
  double error = 0;                       // Without a unit.
  double adjustment = 0;
  double height = 0;
};
enum class CoordinateStatus : std::uint8_t {
  kOk,            // May hold NaN or infinity: the reader's to refuse.
  kNone,          // No payload; the peer has coordinates turned off. No fault.
  kOtherVersion,  // Of a version we do not know. No fault.
  kMalformed,
  kOtherDimension,  // Not 8 numbers.
};
/// The whole payload, version byte included.
void encode_coordinate(ByteWriter& out, const Coordinate& coordinate);
[[nodiscard]] CoordinateStatus decode_coordinate(Bytes payload, Coordinate& out);

// ---- Query filters

struct TagFilter {
  std::string_view tag;
  std::string_view expr;  // RE2, unanchored search; a missing tag counts as "".
};

/// Writes the `filters` field of a query that is for nodes whose tags match all of `tags`, and, unless there are none,
/// for those in `nodes` alone. Nothing at all when it is for everybody.
void encode_filters(ByteWriter& out, std::span<const TagFilter> tags, std::span<const std::string_view> nodes);

/// Walks `Query::filters`. Each blob is a list of names or a tag expression; an empty or unknown blob matches nobody
/// (an empty one crashes Go peers: never sent).
class FilterReader {
 public:
  enum class Kind : std::uint8_t { kNodes, kTag, kUnknown };

  /// Borrows `filters` for its life.
  explicit FilterReader(Bytes filters);
  /// False at the end, or when the list is malformed (then `malformed()`).
  [[nodiscard]] bool next();
  [[nodiscard]] bool malformed() const { return malformed_; }
  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] const TagFilter& tag() const { return tag_; }
  /// For kNodes: whether the list names this node.
  [[nodiscard]] bool names(std::string_view node) const;

 private:
  Bytes rest_;
  std::uint32_t left_ = 0;
  bool malformed_ = false;
  Kind kind_ = Kind::kUnknown;
  Bytes names_{};
  TagFilter tag_{};
};

// ---- SF push/pull state, both directions, walked rather than stored.

/// What a reader learns of a push/pull user state, in this order: clocks first whatever the order on the wire.
struct SerfStateClocks {
  std::uint64_t ltime = 0;
  std::uint64_t event_ltime = 0;
  std::uint64_t query_ltime = 0;
};

class SerfStateVisitor {
 public:
  virtual void on_clocks(const SerfStateClocks& clocks) = 0;
  /// `left`: the name is among LeftMembers.
  virtual void on_status(std::string_view node, std::uint64_t ltime, bool left) = 0;
  /// Every stored event, in list order.
  virtual void on_event(const UserEvent& event) = 0;

 protected:
  ~SerfStateVisitor() = default;
};

/// Most names that are read in LeftMembers and in StatusLTimes: bounds the work of putting the two together.
inline constexpr std::uint32_t kSerfStateNamesMax = 65'536;

/// `state` is the whole user state, its SF type byte (2) included. First checked whole, then told to the visitor:
/// clocks, LeftMembers (with their StatusLTimes entry, 0 when missing), other StatusLTimes, events. False = malformed
/// or more than kSerfStateNamesMax names in one list, and the visitor has heard nothing. A name that stands twice in a
/// list is told twice.
[[nodiscard]] bool read_serf_state(Bytes state, SerfStateVisitor& visitor);

/// Writes a push/pull user state piece by piece: the constructor begins it, then `status` for each member (exactly
/// `members` of them, the left ones too), then `left` for each left one (exactly `lefts`), then for each Lamport time
/// of which events are kept (exactly `event_times`) `events_at` and its events. Whoever calls them in any other number
/// has a bug, and aborts. Go has a list of 512 slots with nil in most; it reads a short one of the used slots too, and
/// nil. Go readers accept any key order.
class SerfStateWriter {
 public:
  SerfStateWriter(ByteWriter& out, const SerfStateClocks& clocks, std::uint32_t members, std::uint32_t lefts,
                  std::uint32_t event_times = 0);
  void status(std::string_view node, std::uint64_t ltime);
  void left(std::string_view node);
  /// `count` calls of `event` follow.
  void events_at(std::uint64_t ltime, std::uint32_t count);
  void event(std::string_view name, Bytes payload);

 private:
  void begin_lefts();
  void begin_events();

  ByteWriter& out_;
  std::uint32_t statuses_left_;
  std::uint32_t lefts_;
  std::uint32_t event_times_;
  std::uint32_t events_ = 0;  // Of the time in hand.
};

// ---- Tags: an alive message's Meta.

inline constexpr std::size_t kMetaBytesMax = 512;

/// Calls `f(key, value)` for each tag of `meta`. Meta that does not start with FF is one tag, "role". False =
/// malformed.
template <typename F>
bool for_each_tag(Bytes meta, F&& f);

/// The value of one tag, "" when it is missing or meta is malformed.
[[nodiscard]] std::string_view tag_value(Bytes meta, std::string_view key);

/// Writes Meta from pairs: begin with the number of tags, then each.
void encode_tags_header(ByteWriter& out, std::uint32_t tags);
void encode_tag(ByteWriter& out, std::string_view key, std::string_view value);

namespace detail {
/// Of a list of texts: the next one, false at the end.
struct TextWalk {
  Bytes rest{};
  std::uint32_t left = 0;
  bool started = false;
  std::string_view text{};
};
bool next_text(Bytes list, TextWalk& walk);
/// One step of a walk over tags; `first` initialises. 0 = end, 1 = a tag, -1 = malformed.
struct TagWalk {
  Bytes rest{};
  std::uint32_t left = 0;
  bool started = false;
  std::string_view key, value;
};
int next_tag(Bytes meta, TagWalk& walk);
}  // namespace detail

template <typename F>
void for_each_key(Bytes keys, F&& f) {
  detail::TextWalk walk;
  while (detail::next_text(keys, walk)) f(walk.text);
}

template <typename F>
bool for_each_tag(Bytes meta, F&& f) {
  detail::TagWalk walk;
  int step = 0;
  while ((step = detail::next_tag(meta, walk)) == 1) f(walk.key, walk.value);
  return step == 0;
}

}  // namespace shoal::wire
