// One serf node: wire + swim + serf as a single object, the one that the shell and the simulator drive. No sockets, no
// clock, no threads, no globals.
//
// Three kinds of method, told apart by name: `on_*` = an input arrived; start, join, query, respond, set_tags, leave =
// commands with the same contract; the others = const questions. For the first two `out` must be empty and `now` never
// goes back: both are asserted.
//
// Where each part lives: node.cc (commands, timers, leave), intents.cc (members, intents, push/pull state: facts 5.4,
// 5.7), user_messages.cc (events, queries, answers, relays: 5.5, 5.6), internal_queries.cc (keys and names: 5.9).
// Source: gossip-protocol facts 4 and 5.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "serf/coordinates.h"
#include "serf/keyring_file.h"
#include "serf/members.h"
#include "serf/outbox.h"
#include "serf/queries.h"
#include "serf/user_events.h"
#include "swim/core.h"

namespace shoal::serf {

struct NodeOptions {
  swim::Options swim;
  Duration reap_after = 10min;  // Failed and left members are forgotten after this.
  // From a snapshot: times that were seen in an earlier life.
  LamportTime clock_seen = 0;
  LamportTime event_clock_seen = 0;
  LamportTime query_clock_seen = 0;
};

enum class KeyOperation : std::uint8_t { kList, kInstall, kUse, kRemove };
[[nodiscard]] std::string_view query_name(KeyOperation operation);

/// Serf's limit of name and payload together, and of the message that they make.
inline constexpr std::size_t kUserEventLimit = 512;

struct QueryParams {
  std::string_view name;
  Bytes payload{};
  Duration timeout{};                         // Zero = serf's default for the cluster's size.
  std::span<const wire::TagFilter> tags{};    // Only nodes whose tags match all of them.
  std::span<const std::string_view> nodes{};  // Only the nodes of these names; none: all.
  bool ack = false;
  std::uint8_t relay_factor = 0;  // Answers come also by way of this many members each.
};

enum class Route : std::uint8_t { kDatagram, kStream };

/// User events that the members of a cluster know when we join it.
enum class OldEvents : std::uint8_t {
  kOfFirstJoinIgnored,  // What we missed since our first join is for us, and nothing from before it.
  kIgnored,
  kTold,
};

/// What serf itself counts; swim's counters are beside it.
struct NodeCounters {
  std::uint64_t malformed = 0;    // A user message that does not decode.
  std::uint64_t unsupported = 0;  // A serf type that is unknown or not handled yet.
  std::uint64_t queries_old = 0;  // Lamport time too far behind the clock.
  std::uint64_t queries_repeated = 0;
  std::uint64_t filters_refused = 0;  // Expressions that came faster than they may be looked at.
  std::uint64_t relays_refused = 0;   // Not an answer, or not for a member.
  std::uint64_t events_refused = 0;   // Too old, too large, or too many of one Lamport time.
  std::uint64_t events_repeated = 0;
  std::uint64_t coordinates_refused = 0;
  std::uint64_t clock_jumps = 0;      // An absurd Lamport time, not taken.
  std::uint64_t members_refused = 0;  // The table was full of living ones.
};

class Node final : private swim::Upper, private wire::SerfStateVisitor {
 public:
  /// All memory is reserved here, but for names and profiles, which `texts` keeps: it has room for
  /// swim::texts_max(members_max), and outlives the node. Nothing is sent before `start`.
  Node(const NodeOptions& options, TextStore& texts, Rng rng, Instant now);

  // Inputs.
  void on_packet(Instant now, const Endpoint& from, Bytes datagram, Outbox& out);
  [[nodiscard]] bool on_stream_accepted(Instant now, const Endpoint& from, swim::StreamId& stream, Outbox& out);
  void on_stream_connected(Instant now, swim::StreamId stream, Outbox& out);
  void on_stream_bytes(Instant now, swim::StreamId stream, Bytes bytes, Outbox& out);
  void on_stream_closed(Instant now, swim::StreamId stream, Outbox& out);
  /// Afterwards next_deadline() > now.
  void on_deadline(Instant now, Outbox& out);

  // Commands.
  /// `meta` as wire::encode_tags_header and encode_tag make it. REQUIRES: at most 512 bytes.
  void start(Instant now, Bytes meta, Outbox& out);
  void set_meta(Instant now, Bytes meta, Outbox& out);
  /// A push/pull as a joiner; a JoinEvent tells how it ended.
  void join(Instant now, const Endpoint& to, Outbox& out, OldEvents old_events = OldEvents::kOfFirstJoinIgnored);
  /// The same with a member of an earlier life: no join intent follows.
  void rejoin(Instant now, const Endpoint& to, Outbox& out);
  /// A push/pull as anti-entropy: no join intent follows.
  void push_pull(Instant now, const Endpoint& to, Outbox& out);
  /// An ordinary query to the whole cluster, ourselves included. 0 = too large.
  QueryToken query(Instant now, const QueryParams& params, Outbox& out);
  /// A query to one address, with the flag that nobody passes it on. It goes out at the current query time, which it
  /// does not advance: 600 advancing ones were seen to make a stock agent deaf to an innocent one for 40 s. 0 = too
  /// large, or no stream is free.
  QueryToken query_direct(Instant now, const Endpoint& to, Route route, const QueryParams& params, Outbox& out);
  /// Asks every node, ourselves included, to do this with its keyring. `key`: raw bytes, none for a list. The answers
  /// are wire::KeyResponse. 0 = no key can be so long.
  QueryToken key_query(Instant now, KeyOperation operation, Bytes key, Outbox& out);
  /// Answers a key query whose change was told by Outbox::keyring_changes. `error`: why it could not be kept, in serf's
  /// own manner said although the ring in memory has changed; none = done.
  void answer_key_change(Instant now, const QueryRef& ref, std::string_view error, Outbox& out);
  /// Tells the whole cluster, ourselves included. False: the encoded event exceeds kUserEventLimit, or there is no
  /// name.
  bool user_event(Instant now, std::string_view name, Bytes payload, bool coalesce, Outbox& out);
  /// The operator's keyring, read anew. False when it holds no key or a bad one: nothing has changed.
  bool set_keys(std::span<const Key> keys);
  /// Answers once; the payload is cut off at nothing: false when it is too large, too late, answered before, or no
  /// stream is free.
  bool respond(Instant now, const QueryRef& ref, Bytes payload, Outbox& out);
  /// Says of a failed member that it has left, so that nobody waits for its return. With `prune` it is forgotten
  /// everywhere at once. A living one contradicts. False = a name of no use (empty, or too long).
  bool force_leave(Instant now, std::string_view node, bool prune, Outbox& out);
  /// The graceful leave: intent, then death by own hand, then a moment more of answering pings; ends in Outbox::left.
  void leave(Instant now, Outbox& out);

  // Questions.
  [[nodiscard]] Instant next_deadline() const;
  [[nodiscard]] const Members& members() const { return members_; }
  [[nodiscard]] std::string_view name() const { return options_.swim.name.view(); }
  [[nodiscard]] const swim::Core& swim() const { return swim_; }
  [[nodiscard]] const NodeCounters& counters() const { return counters_; }
  [[nodiscard]] const wire::Keyring& keyring() const { return swim_.keyring(); }
  [[nodiscard]] const Coordinates& coordinates() const { return coordinates_; }
  /// The round trip to a member as the coordinates have it; nothing when it has told none.
  [[nodiscard]] std::optional<Duration> round_trip(std::string_view node) const;
  [[nodiscard]] LamportTime clock() const { return clock_.now(); }
  [[nodiscard]] LamportTime event_clock() const { return event_clock_.now(); }
  [[nodiscard]] LamportTime query_clock() const { return query_clock_.now(); }
  [[nodiscard]] bool leaving() const { return leave_ != Leave::kNo; }
  /// Intents, queries and user events that are still to be told.
  [[nodiscard]] std::size_t queued() const { return queued_intents() + queued_queries() + queued_events(); }
  [[nodiscard]] std::size_t queued_intents() const { return intents_.size(); }
  [[nodiscard]] std::size_t queued_queries() const { return queries_queue_.size(); }
  [[nodiscard]] std::size_t queued_events() const { return events_.size(); }
  /// Serf's own default: gossip interval x 16 x ceil(log10(N + 1)).
  [[nodiscard]] Duration default_query_timeout() const;

 private:
  enum class Leave : std::uint8_t { kNo, kIntent, kIntentOut, kSwim, kDone };
  /// Filters' expressions that are compiled at once, and how soon one more may be: 10 ms each at the worst.
  static constexpr std::uint32_t kExpressionsMax = 32;
  static constexpr Duration kExpressionPause = 50ms;

  /// Another node has our name, and the others are being asked.
  struct Dispute {
    QueryToken token = 0;
    Instant deadline = kNever;
    Instant not_before{};  // Of the next one.
    Endpoint other;
    std::uint32_t answers = 0;
    std::uint32_t ours = 0;   // Answers that know us by the name.
    bool giving_way = false;  // To `other`, or for want of an incarnation, at the end of this input.
  };

  void begin(Instant now, Outbox& out);
  void end() { out_ = nullptr; }

  // swim::Upper
  void on_member_join(const swim::Record& record) override;
  void on_member_leave(const swim::Record& record) override;
  void on_member_update(const swim::Record& record) override;
  void on_user_message(Bytes payload, const swim::UserSource& source) override;
  void on_name_conflict(const swim::Record& existing, const Endpoint& other, bool joining) override;
  void on_incarnations_spent() override;
  void on_join_result(const swim::JoinResult& result) override;
  void on_stranger_ping(const Endpoint& source) override;
  void write_ping_payload(ByteWriter& out) override;
  void on_ping_payload(const swim::Record& record, Duration rtt, Bytes payload) override;
  void on_datagrams_blocked(const swim::Record& record) override;
  void on_foreign(const Endpoint& from, swim::Refusal why) override;
  void add_broadcasts(wire::PacketSealer& sealer, std::size_t budget, std::size_t overhead) override;
  void write_state(ByteWriter& out) override;
  void merge_state(Bytes state, bool join) override;

  // wire::SerfStateVisitor
  void on_clocks(const wire::SerfStateClocks& clocks) override;
  void on_status(std::string_view node, std::uint64_t ltime, bool left) override;
  void on_event(const wire::UserEvent& event) override;

  void on_intent_message(Bytes payload, bool leave);
  bool apply_leave_intent(const wire::LeaveIntent& intent);
  bool apply_join_intent(const wire::JoinIntent& intent);
  void on_query_message(Bytes payload, bool via_stream);
  void deliver_query(const wire::Query& query, bool via_stream);
  [[nodiscard]] bool filters_match(const wire::Query& query);
  [[nodiscard]] bool may_compile();
  void on_user_event_message(Bytes payload);
  bool accept_event(const wire::UserEvent& event);
  void on_response_message(Bytes payload);
  QueryToken ask(const QueryParams& params);
  void on_internal_query(const wire::Query& query, const QueryRef& ref);
  void answer_conflict(std::string_view node, const QueryRef& ref);
  void open_dispute(const Endpoint& other);
  void on_dispute_answer(Bytes payload);
  void settle_dispute();
  void give_way();
  void take_new_name(const Endpoint& other);
  NodeName fresh_name(std::string_view old);
  void on_key_query(KeyOperation operation, Bytes payload, const QueryRef& ref);
  void answer_key_list(const QueryRef& ref);
  bool try_key_list(const QueryRef& ref, std::size_t shown);
  void send_key_answer(const wire::KeyResponse& answer, const QueryRef& ref);
  std::size_t encode_query(const QueryParams& params, std::uint32_t flags, std::uint32_t id, MutableBytes memory) const;
  bool send_response(const QueryRef& ref, Bytes payload, std::uint32_t flags);
  void relay_response(const QueryRef& ref, Bytes message);
  void on_relay_message(Bytes payload);
  [[nodiscard]] const Member* member_at(const Endpoint& endpoint) const;
  void broadcast_join_intent();
  void emit(MemberEventKind kind, std::string_view name);
  /// News for the outbox; what has no room is dropped and counted.
  template <typename T>
  void tell(FixedVector<T>& news, const std::type_identity_t<T>& event) {
    if (news.full()) return void(++out_->dropped);
    news.push_back(event);
  }
  void reap();
  void recall(Member& member);
  void reconnect();
  void prune(Slot slot);
  void advance_leave();

  NodeOptions options_;
  Rng rng_;
  Instant now_;
  Outbox* out_ = nullptr;

  Members members_;
  LamportClock clock_, event_clock_, query_clock_;
  swim::BroadcastQueue intents_, queries_queue_, events_;
  RecentMarks seen_queries_, answered_queries_;
  EventBuffer event_buffer_;
  LamportTime query_time_min_ = 0;               // Older queries were handled in an earlier life.
  std::uint32_t expressions_ = kExpressionsMax;  // That may be compiled now.
  Instant expressions_at_{};                     // When it was counted.
  Coordinates coordinates_;
  Dispute dispute_;
  OpenQueries open_queries_;
  Leave leave_ = Leave::kNo;
  swim::BroadcastQueue::Token leave_token_ = 0;
  Instant leave_deadline_ = kNever;
  Instant reap_at_ = kNever;
  Instant reconnect_at_ = kNever;
  bool join_intent_due_ = false;
  bool joined_ = false;                                    // Some join of ours has been answered.
  bool newcomer_ = false;                                  // We knew nobody when we last asked to join.
  OldEvents old_events_ = OldEvents::kOfFirstJoinIgnored;  // Of the next join that is answered.
  bool ignoring_old_events_ = false;
  NodeCounters counters_;
  swim::Core swim_;
};

}  // namespace shoal::serf
