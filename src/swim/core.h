// One node's SWIM + Lifeguard membership as memberlist speaks it. No sockets, no clock, no threads, no globals.
//
// Three kinds of method, told apart by name:
//   on_*                 an input arrived
//   start, join, ...     a command (same contract)
//   the others           a question: const, no time, no effect
// REQUIRES for the first two: `now` never goes back (asserted). Effects are added to `out`; serf::Node, which drives
// this core, asserts that the shell has drained it before the next input.
//
// What the layer above needs from inside is the interface Upper, declared here and implemented there. Its calls come
// in the middle of an input: an Upper may queue, and answer by send_user, but must not give other commands.
//
// Where each rule lives: core.cc (dispatch, timers, gossip), update_rules.cc (alive, suspect, dead: facts 2.2-2.4),
// probe.cc (one probe cycle: 3.1), streams.cc (push/pull, TCP ping, user messages over TCP: 2.5).
#pragma once

#include <array>
#include <cstdint>

#include "base/endpoint.h"
#include "base/rng.h"
#include "swim/broadcast_queue.h"
#include "swim/lifeguard.h"
#include "swim/members.h"
#include "swim/outbox.h"
#include "swim/suspects.h"
#include "wire/packet.h"
#include "wire/security.h"
#include "wire/stream.h"

namespace shoal::swim {

struct Options {
  NodeName name;
  Endpoint advertise;
  Versions versions{1, 5, 2, 2, 5, 5};
  Timing timing;
  bool compress = true;
  bool buddy = true;  // A suspect is told so with the next ping: Lifeguard's buddy system. Off only to measure it.
  InlineVector<FixedBytes<wire::kAeadKeyBytesMax>, wire::Keyring::kKeysMax> keys;  // The first encrypts. None: plain.
  std::array<std::uint8_t, wire::NonceSource::kSeedBytes> nonce_seed{};  // REQUIRED with keys: never the same twice.
  FixedString<wire::kLabelBytesMax> label;  // Stock serf agents know no labels: empty for them.
  std::size_t members_max = 10'000;
  std::size_t broadcasts_max = 0;        // Messages that wait to be gossiped. 0: one about each member, and a few.
  std::size_t inbound_streams_max = 16;  // More push/pulls at once are closed unanswered.
  std::size_t outbound_streams_max = 8;
  InlineVector<Cidr, 32> allow;  // Who may be a member; empty = all.
};

/// Bytes that one push/pull may have, either way: a record and its status time at their usual size, with room, and the
/// upper layer's stored events: 190 kB with all around them, half as much again where they do not compress.
[[nodiscard]] constexpr std::size_t stream_bytes_max(std::size_t members_max) { return 320 * 1024 + members_max * 384; }

/// Texts that the tables of one node, this core's and the upper layer's, hold at most: both know each member by a name
/// and a profile, and they may know different ones. A few more are in hand while one takes another's place.
[[nodiscard]] constexpr std::size_t texts_max(std::size_t members_max) { return 4 * members_max + 16; }

/// Why something that arrived was not used. Never fatal; each is counted.
enum class Refusal : std::uint8_t {
  kMalformed,     // A message that does not decode.
  kUnsupported,   // A type that nobody knows or that may not stand here.
  kBadLabel,      // Another cluster's label, or none where one is due.
  kEncrypted,     // And we have no key.
  kNotEncrypted,  // And we have a key.
  kBadKey,        // Encrypted, and none of our keys opens it.
  kBadCrc,
  kBadCompress,
  kBadCompound,
  kBadVersions,  // Fewer than six version numbers, or numbers we cannot live with.
  kBadAddress,   // Neither 4 nor 16 bytes.
  kNameTooLong,
  kMetaTooLong,
  kNotAllowed,  // Outside gossip.allow.
  kTableFull,
  kConflict,   // A living member's name from another address.
  kWrongNode,  // A ping meant for another name.
  kTooManyStreams,
  kBadStream,  // Undecodable, encrypted, or too large.
  kStreamTimeout,
  kTooManyProbes,  // Indirect pings in progress for others: full. Or a datagram that asks for more than kAnswersMax.
  kCount,
};
[[nodiscard]] std::string_view to_text(Refusal refusal);
/// One that tells of another key, no key, or another label: most likely somebody's settings, not noise.
[[nodiscard]] bool is_foreign(Refusal refusal);

struct Counters {
  std::array<std::uint64_t, static_cast<std::size_t>(Refusal::kCount)> refused{};
  std::uint64_t packets_in = 0;
  std::uint64_t probes = 0;
  std::uint64_t probes_failed = 0;
  std::uint64_t refutes = 0;
  std::uint64_t push_pulls_in = 0;
  std::uint64_t push_pulls_out = 0;
};

/// How a push/pull that somebody asked for has ended.
struct JoinResult {
  Endpoint to;
  bool ok = false;
  std::string_view error{};  // Borrowed for the call.
};

/// Where a user message came from.
struct UserSource {
  bool via_stream = false;
};

inline constexpr std::size_t kPingPayloadBytesMax = 256;

/// The layer above, as the core sees it.
class Upper {
 public:
  virtual void on_member_join(const Record& record) = 0;
  virtual void on_member_leave(const Record& record) = 0;
  virtual void on_member_update(const Record& record) = 0;
  virtual void on_user_message(Bytes payload, const UserSource& source) = 0;
  /// A living member's name from another address. `joining`: it stands in the answer to a join of ours.
  virtual void on_name_conflict(const Record& existing, const Endpoint& other, bool joining) = 0;
  /// What goes back with each answered ping, type bytes and all; nothing = none. At most kPingPayloadBytesMax.
  virtual void write_ping_payload(ByteWriter& out) = 0;
  /// A probed member has answered itself, by datagram, after `rtt`. `payload` may be empty.
  virtual void on_ping_payload(const Record& record, Duration rtt, Bytes payload) = 0;
  /// A probed member answers over TCP alone: datagrams to it or from it are lost. Told at each such probe.
  virtual void on_datagrams_blocked(const Record& record) = 0;
  /// What we have to say about ourselves needs an incarnation beyond the last there is, and nobody would believe
  /// another: under this name we are not heard any more. Rename us when the input is over.
  virtual void on_incarnations_spent() = 0;
  virtual void on_join_result(const JoinResult& result) = 0;
  /// A ping for another name came to our address, or one for us from a node that we do not know: `source` remembers who
  /// was here before us, and knows a cluster that we do not.
  virtual void on_stranger_ping(const Endpoint& source) = 0;
  /// Adds messages (each whole, type byte kUser in front) that fit into `budget`, at `overhead` bytes each.
  virtual void add_broadcasts(wire::PacketSealer& sealer, std::size_t budget, std::size_t overhead) = 0;
  /// The user state of a push/pull; nothing = none.
  virtual void write_state(ByteWriter& out) = 0;
  /// `joining`: it answers a join of ours.
  virtual void merge_state(Bytes state, bool joining) = 0;
  /// A datagram or stream from `from` that is not encrypted or labelled as ours are.
  virtual void on_foreign(const Endpoint& from, Refusal why) = 0;

 protected:
  ~Upper() = default;
};

class Core final : private wire::MessageSink {
 public:
  /// `upper` and `texts` outlive the core. All memory is reserved here, but for that of names and profiles: `texts` has
  /// room for texts_max(members_max) of ours besides those of others.
  Core(const Options& options, TextStore& texts, Upper& upper, Rng rng, Instant now);

  // Inputs.
  void on_packet(Instant now, const Endpoint& from, Bytes datagram, Outbox& out);
  /// Somebody connected to us: whether there is room. With room, `stream` is its name from now on. When all places are
  /// taken, one that has said nothing for kSilenceMax is closed for it: an honest peer speaks as soon as it is there.
  [[nodiscard]] bool on_stream_accepted(Instant now, const Endpoint& from, StreamId& stream, Outbox& out);
  void on_stream_connected(Instant now, StreamId stream, Outbox& out);
  void on_stream_bytes(Instant now, StreamId stream, Bytes bytes, Outbox& out);
  /// Closed by the peer, could not connect, or finished. Unknown ids are ignored.
  void on_stream_closed(Instant now, StreamId stream, Outbox& out);
  /// Afterwards next_deadline() > now.
  void on_deadline(Instant now, Outbox& out);

  // Commands.
  /// The own alive with its first Meta; timers run from here. REQUIRES: at most kMetaBytesMax.
  void start(Instant now, Bytes meta, Outbox& out);
  /// One push/pull; ends in Upper::on_join_result. `join`: as a joiner, not as anti-entropy.
  void push_pull(Instant now, const Endpoint& to, bool join, Outbox& out);
  /// Announces new Meta with the next incarnation. REQUIRES: at most kMetaBytesMax.
  void set_meta(Instant now, Bytes meta, Outbox& out);
  /// From now on we are another node at the same address: the old name is somebody else's, and nothing more is said
  /// about it. REQUIRES: started, not leaving, no member is called that.
  void rename(Instant now, const NodeName& name, Outbox& out);
  /// The graceful dead about ourselves. Pings are answered and nothing is refuted from here on; `left()` when told.
  void leave(Instant now, Outbox& out);
  /// One user message by datagram, or over a stream of its own (false: no stream is free). `payload` starts with the SF
  /// type. The only two commands that an Upper may give from inside its callbacks, so that it can answer a message.
  void send_user(Instant now, const Endpoint& to, Bytes payload, Outbox& out);
  [[nodiscard]] bool send_user_by_stream(Instant now, const Endpoint& to, Bytes payload, Outbox& out);

  // Questions.
  [[nodiscard]] Instant next_deadline() const;
  [[nodiscard]] const Members& members() const { return members_; }
  [[nodiscard]] const Record& self() const { return members_[self_]; }
  [[nodiscard]] std::uint32_t health_score() const { return awareness_.score(); }
  [[nodiscard]] bool leaving() const { return leave_.phase != Leave::Phase::kNo; }
  [[nodiscard]] bool left() const { return leave_.phase == Leave::Phase::kDone; }
  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] const wire::Keyring& keyring() const { return keyring_; }
  /// Keys may be changed at any time between two inputs, and by an Upper in the middle of one. REQUIRES: a ring that
  /// had keys keeps one, and one that had none stays empty.
  [[nodiscard]] wire::Keyring& keyring() { return keyring_; }
  [[nodiscard]] const BroadcastQueue& queue() const { return queue_; }
  [[nodiscard]] std::size_t others_alive() const;
  [[nodiscard]] const Options& options() const { return options_; }

 private:
  enum class Timer : std::uint8_t { kProbe, kProbeTimeout, kProbeEnd, kGossip, kPushPull, kLeave, kCount };

  struct Probe {
    enum class Phase : std::uint8_t { kIdle, kDirect, kIndirect };
    Phase phase = Phase::kIdle;
    NodeName node;
    std::uint32_t seq_no = 0;
    Instant sent{};
    Instant end{};
    std::uint32_t nacks_expected = 0;
    std::uint32_t nacks_received = 0;
    bool tcp_acked = false;
    bool tick_pending = false;  // A tick fell into the running probe.
  };

  /// A ping that we send for somebody else.
  struct Errand {
    std::uint32_t seq_no = 0;  // Ours.
    std::uint32_t their_seq_no = 0;
    Endpoint reply_to;
    Instant deadline{};
    bool nack = false;
  };
  static constexpr std::size_t kErrandsMax = 256;
  static constexpr std::uint32_t kIncarnationMax = ~std::uint32_t{0};  // Only a forged message brings anybody there.
  /// Answers to one datagram: pings, pings for others, and suspicions that are refuted to the sender's face. Nobody
  /// sends more than one ping and one suspicion together. Without a bound 120 compressed bytes would be answered by 160
  /// datagrams, to whomever they name, and each would carry off a transmission of the news that waits.
  static constexpr std::size_t kAnswersMax = 4;
  /// Own streams that push/pulls leave free, for TCP pings and user messages: seeds that swallow everything must not
  /// take those too.
  static constexpr std::size_t kStreamsKept = 3;

  static constexpr Duration kSilenceMax = 1s;

  struct Session {
    enum class Kind : std::uint8_t { kFree, kInbound, kPushPull, kPing, kUser };
    explicit Session(std::size_t bytes_max) : in(bytes_max), out(bytes_max) {}
    Kind kind = Kind::kFree;
    StreamId id = 0;
    Endpoint peer;
    Instant deadline = kNever;
    Instant heard{};  // When it last said something; inbound ones alone.
    bool join = false;
    bool finishing = false;  // All is said; waiting for the shell's close.
    std::uint32_t seq_no = 0;
    Buffer in, out;
    std::size_t in_size = 0, out_size = 0;
    wire::StreamReader reader{MutableBytes{}};
  };

  struct Leave {
    enum class Phase : std::uint8_t { kNo, kBroadcasting, kPropagating, kDone };
    Phase phase = Phase::kNo;
    BroadcastQueue::Token token = 0;
    Instant give_up = kNever;
  };

  // core.cc
  void begin(Instant now);
  void on_message(wire::MessageType type, Bytes body) override;
  void on_ping(Bytes body);
  [[nodiscard]] bool may_answer();
  void on_indirect_ping(Bytes body);
  void on_ack(Bytes body);
  void on_nack(Bytes body);
  void gossip();
  void advance_leave();
  void expire_errands();
  void refuse(Refusal refusal) { ++counters_.refused[static_cast<std::size_t>(refusal)]; }
  void refuse_foreign(const Endpoint& from, Refusal why);
  void send_with_piggyback(const Endpoint& to, Bytes message);
  void send_sealed(const Endpoint& to, bool with_crc);
  void fill_broadcasts(std::size_t budget, std::size_t overhead_ml);
  [[nodiscard]] Endpoint source_or_sender(Bytes addr, std::uint16_t port) const;
  [[nodiscard]] std::uint32_t limit() const;
  Instant& deadline(Timer timer) { return deadlines_[static_cast<std::size_t>(timer)]; }

  // update_rules.cc
  struct AliveNews {
    wire::Alive message;
    bool from_datagram = false;
    bool local = false;  // Our own announcement about ourselves.
  };
  void apply_alive(const AliveNews& news);
  void apply_suspect(const wire::Suspect& suspect);
  void apply_dead(const wire::Dead& dead);
  void refute(std::uint32_t accused);
  void announce_self();
  void forget_own_news();
  void broadcast_alive(const Record& record, std::uint64_t key);
  void send_alive(const Endpoint& to, const Record& record);
  void expire_suspicions();
  void unsuspect(Slot slot);
  [[nodiscard]] bool allowed(const IpAddress& address) const;

  // probe.cc
  void probe_tick();
  void probe_next();
  [[nodiscard]] Slot next_target();
  void start_probe(Slot target);
  void probe_indirectly();
  void end_probe(bool acked);
  void reap();
  [[nodiscard]] Slot probed() const;

  // streams.cc
  [[nodiscard]] Session* free_session(bool inbound, bool is_push_pull);
  [[nodiscard]] Session* session(StreamId id);
  void close_silent();
  Session* connect(const Endpoint& to, Session::Kind kind, Instant deadline);
  void free_up(Session& session);
  void close(Session& session);
  void fail(Session& session, std::string_view why);
  void finish(Session& session);
  void write_push_pull(Session& session, bool join);
  void write_sealed(Session& session, Bytes plain);
  void on_stream_message(Session& session);
  void answer_error(Session& session, std::string_view text);
  void merge(const wire::StreamReader& reader, bool joining);
  void merge_node(const wire::NodeState& node);
  void on_bad_stream(Session& session, wire::StreamStatus status);
  void expire_streams();
  void start_tcp_ping(const Endpoint& to, std::string_view node);

  Options options_;
  TextStore& texts_;
  Upper& upper_;
  Rng rng_;
  Instant now_;
  Outbox* out_ = nullptr;  // Valid during an input or command.
  Endpoint sender_;        // Of the datagram in hand.
  bool in_datagram_ = false;
  std::size_t answers_ = 0;  // To the datagram in hand.
  bool in_join_answer_ = false;

  Members members_;
  Slot self_ = kNoSlot;
  std::uint32_t incarnation_ = 0;
  std::uint32_t seq_no_ = 0;
  Suspects suspects_;  // Those, and only those, whose state is kSuspect.
  Awareness awareness_;
  BroadcastQueue queue_;
  Probe probe_;
  std::size_t probe_at_ = 0;
  FixedVector<Errand> errands_;
  Leave leave_;
  std::array<Instant, static_cast<std::size_t>(Timer::kCount)> deadlines_;
  FixedVector<Session> sessions_;
  StreamId last_stream_ = 0;
  Counters counters_;

  wire::Keyring keyring_;
  wire::NonceSource nonces_;
  wire::Security security_;
  wire::PacketOpener opener_;
  wire::PacketSealer sealer_;
  Buffer plain_;    // Scratch: a push/pull before compression.
  Buffer inflate_;  // Scratch: a push/pull after decompression.
  FixedVector<Slot> picks_;
};

}  // namespace shoal::swim
