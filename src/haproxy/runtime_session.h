// One HAProxy's runtime socket: a connection that is kept, watched and made anew for ever.
//
//   connect -> `prompt` -> `show info` -> `show cli level` -> ready -> batches of commands -> ... -> lost -> back-off
//
// A batch is framed by two `show info`: a persistent connection survives HAProxy's reload and goes on talking to the
// old process, which still says "New server registered."; only another pid or start time, or `Stopping: 1`, tells.
// Between batches `show info` is asked every watch interval, and once a second on a fresh connection (the second
// stream), which reaches the new process even where the old one says nothing.
//
// A process that is stopping, or that another one has taken the socket from, may still have requests: its connection is
// handed over to a RetiredProcess on a stream of its own, and a new one is made at once. On the master's socket `@1`
// reaches the current worker and `@!PID` an old one, over a connection of its own.
//
// Nothing is ever sent again by this class. When a connection ends, the answers that had not come are unknown; the
// owner looks at HAProxy's tables and decides anew.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/containers.h"
#include "base/rng.h"
#include "base/time.h"
#include "haproxy/retired_process.h"
#include "haproxy/runtime_codec.h"
#include "haproxy/versions.h"

namespace shoal::haproxy {

enum class Stream : std::uint8_t { kMain, kProbe, kOld1, kOld2, kOld3, kOld4 };
inline constexpr std::size_t kStreams = 6;
inline constexpr std::size_t kOldMax = 4;  // Old processes at once; of more the oldest is given up.

struct SessionOptions {
  bool is_master = false;          // The master's socket.
  Duration command_deadline = 2s;  // From the moment a command is the oldest unanswered one.
  Duration connect_deadline = 2s;  // An eleventh connection is accepted by the kernel and never answered.
  Duration backoff_min = 50ms;
  Duration backoff_max = 500ms;  // A connect costs little, and a HAProxy that is back waits empty.
  Duration watch_interval = 50ms;
  Duration probe_interval = 1s;
  std::uint32_t window = 64;  // Commands on their way at once; HAProxy stops reading when nobody reads its answers.
  std::uint32_t batch_commands_max = 4096;
  std::uint32_t reply_bytes_max = 4u << 20;  // 10,000 servers are 0.75 MB of `show servers state`.
  RetiredOptions retired;
};

struct SessionEvent {
  enum class Kind : std::uint8_t {
    kUp,         // Ready for batches; `replaced`: another process than the last time. Look at everything.
    kDown,       // Lost, `text` says why; a batch that was open has ended, its missing answers are unknown. While it
                 // is down, again for each new reason.
    kReply,      // The answer to one command of the batch.
    kBatchDone,  // All answered, and by a process that is not stopping.
    kRetired,    // The process until now goes on as old process `slot`. kDown or kUp follows.
    kOldCount,   // Old process `slot` has `in_flight` requests for the server watched with `tag`; 0 is the last word.
    kOldGone,    // Old process `slot` is not asked any more; `text` says why. `finished`: it has no request any more.
  };
  Kind kind = Kind::kUp;
  bool replaced = false;
  CommandKind command = CommandKind::kShowInfo;
  Outcome outcome = Outcome::kDone;
  std::uint32_t tag = 0;
  std::uint8_t slot = 0;
  bool finished = false;
  std::uint64_t in_flight = 0;
  std::string_view text;  // Borrowed from the session until its next input.
};

/// Effects of a session, and its events. The shell does, in this order: for each stream close (also one that is still
/// connecting; nothing when it is closed already); hand over; for each stream connect, write.
class SessionOutbox {
 public:
  explicit SessionOutbox(const SessionOptions& options);

  [[nodiscard]] bool wants_close(Stream stream) const { return at(stream).close; }
  /// The connection of kMain goes on as this stream, which is closed before; kMain is free for another connect. When
  /// it cannot (it has broken, or something written is still unsent) the shell reports on_closed for this stream.
  [[nodiscard]] std::optional<Stream> hands_over() const { return hands_over_; }
  [[nodiscard]] bool wants_connect(Stream stream) const { return at(stream).connect; }
  /// Borrowed until clear().
  [[nodiscard]] Bytes to_write(Stream stream) { return Bytes(at(stream).memory.bytes()).first(at(stream).size_bytes); }
  [[nodiscard]] bool has_effects() const;
  [[nodiscard]] bool empty() const { return !has_effects() && events.empty(); }
  void clear_effects();
  void clear() {
    clear_effects();
    events.clear();
  }

  /// At most one window of answers, a kBatchDone, a kDown and a kUp in one call.
  FixedVector<SessionEvent> events;

 private:
  friend class RuntimeSession;
  struct StreamEffects {
    explicit StreamEffects(std::size_t size) : memory(size) {}
    bool close = false;
    bool connect = false;
    std::size_t size_bytes = 0;
    Buffer memory;
  };
  StreamEffects& at(Stream stream) { return streams_[static_cast<std::size_t>(stream)]; }
  [[nodiscard]] const StreamEffects& at(Stream stream) const { return streams_[static_cast<std::size_t>(stream)]; }
  void close(Stream stream);
  void connect(Stream stream);
  /// Room for the next line; `size_bytes` grows by what was written.
  [[nodiscard]] MutableBytes free_space(Stream stream);
  void grow(Stream stream, std::size_t size) { at(stream).size_bytes += size; }

  std::array<StreamEffects, kStreams> streams_;
  std::optional<Stream> hands_over_;
};

/// REQUIRES for inputs and commands: `out.events` is empty; `now` never goes back. The shell reports nothing about a
/// stream after it was told to close it, and closes a stream itself when it reports on_closed or on_connect_failed.
class RuntimeSession final {
 public:
  RuntimeSession(const SessionOptions& options, Rng rng, Instant now);

  void on_connected(Instant now, Stream stream, SessionOutbox& out);
  /// `text` is the system's reason ("Permission denied"); kept for `down_text`.
  /// `nobody_listens`: there is no such socket, or nobody behind it; anything else says nothing about the process.
  void on_connect_failed(Instant now, Stream stream, std::string_view text, bool nobody_listens, SessionOutbox& out);
  void on_bytes(Instant now, Stream stream, Bytes bytes, SessionOutbox& out);
  void on_closed(Instant now, Stream stream, SessionOutbox& out);
  void on_deadline(Instant now, SessionOutbox& out);
  [[nodiscard]] Instant next_deadline() const;

  /// Commands are collected with `add` and sent by `begin_batch`. REQUIRES: can_begin().
  /// False when the command cannot be written (see `encode`) or the batch is full: then it is not part of the batch.
  [[nodiscard]] bool add(const Command& command);
  void begin_batch(Instant now, SessionOutbox& out);
  [[nodiscard]] std::size_t batch_room() const { return batch_.capacity() - batch_.size(); }
  [[nodiscard]] bool can_begin() const { return stage_ == Stage::kReady && !in_batch_; }

  [[nodiscard]] bool is_up() const { return stage_ == Stage::kReady; }
  /// Up now, or at any time before.
  [[nodiscard]] bool was_up() const { return known_; }
  /// Since when nobody has listened on the socket, without a connect that said otherwise; kNever while somebody does,
  /// or that is not known.
  [[nodiscard]] Instant nobody_since() const { return nobody_since_; }
  /// Of the connected process; of the last one while down.
  [[nodiscard]] const Info& info() const { return info_; }
  /// What that process's version can do.
  [[nodiscard]] const Traits& traits() const { return *traits_; }
  /// Why it is down, for people; empty while up.
  [[nodiscard]] std::string_view down_text() const { return down_text_.view(); }
  /// What this socket may do, as far as HAProxy said.
  [[nodiscard]] Level level() const { return level_; }

  // Old processes, by slot.
  [[nodiscard]] bool has_old() const;
  [[nodiscard]] bool has_old(std::size_t slot) const { return retired_[slot].is_active(); }
  /// Counts the server's requests in an old process from the next deadline on: kOldCount, until none is left. False
  /// when that process is asked about too many already. REQUIRES: has_old(slot).
  [[nodiscard]] bool watch_old(Instant now, std::size_t slot, const BackendName& backend, const ServerName& server,
                               std::uint32_t id, std::uint32_t tag) {
    return retired_[slot].watch(now, backend, server, id, tag);
  }
  /// Old processes that were given up while they may have had requests.
  [[nodiscard]] std::uint64_t old_given_up() const { return old_given_up_; }

  [[nodiscard]] std::uint64_t reconnects() const { return reconnects_; }
  [[nodiscard]] std::uint64_t replacements() const { return replacements_; }

 private:
  enum class Stage : std::uint8_t {
    kWaiting,       // Until reconnect_at_.
    kConnecting,    // Until connect_until_.
    kGreeting,      // `prompt` sent.
    kIdentifying,   // `show info` sent.
    kLevel,         // `show cli level` sent.
    kExperimental,  // `experimental-mode on` sent; 2.4 and 2.5 alone need it.
    kReady,
  };
  enum class ProbeStage : std::uint8_t { kIdle, kConnecting, kReading };

  void take_replies(Instant now, SessionOutbox& out);
  void take_reply(Instant now, std::string_view reply, SessionOutbox& out);
  void take_batch_reply(Instant now, std::string_view reply, SessionOutbox& out);
  void take_info(Instant now, std::string_view reply, SessionOutbox& out);
  void take_greeting(Instant now, SessionOutbox& out);
  void take_first_info(Instant now, std::string_view reply, SessionOutbox& out);
  void become_ready(Instant now, SessionOutbox& out);
  void send_more(Instant now, SessionOutbox& out);
  void send_line(std::string_view line, SessionOutbox& out);
  [[nodiscard]] bool is_same_process(const Info& info) const;
  /// `is_alive`: the process goes on and may have requests.
  void lose(Instant now, std::string_view why, bool soon, SessionOutbox& out, bool is_alive = false);
  void retire_process(Instant now, SessionOutbox& out);
  [[nodiscard]] std::size_t free_slot(SessionOutbox& out);
  void apply(std::size_t slot, const RetiredEffects& effects, SessionOutbox& out);
  [[nodiscard]] std::string_view silence() const;
  void start_connect(Instant now, SessionOutbox& out);
  void start_probe(Instant now, SessionOutbox& out);
  void end_probe(Instant now);
  void take_probe(Instant now, SessionOutbox& out);
  void compact();

  SessionOptions options_;
  Framing framing_;
  Rng rng_;
  Stage stage_ = Stage::kWaiting;
  Instant reconnect_at_;
  Instant answer_until_ = kNever;  // Of the connect, or of the oldest unanswered command.
  Instant watch_at_ = kNever;
  Duration backoff_;
  Instant ready_since_{};
  std::uint32_t soon_in_a_row_ = 0;
  Instant nobody_since_ = kNever;
  bool lost_silent_ = false;  // The last process has not ended its connection; it fell silent.

  Info info_;
  const Traits* traits_ = &traits_of("");
  Info new_info_;  // Of a connection that is not ready yet.
  Level level_ = Level::kUnknown;
  bool known_ = false;  // info_ holds a process that was once connected.
  FixedString<191> down_text_{"not connected yet"};

  FixedVector<Command> batch_;
  bool in_batch_ = false;
  // Line 0 of a batch is its first `show info`, then its commands, then the last `show info`.
  std::size_t lines_sent_ = 0;
  std::size_t lines_answered_ = 0;
  bool watch_open_ = false;  // A `show info` outside a batch is unanswered.

  Buffer replies_;
  std::size_t replies_begin_ = 0;  // Taken up to here; freed at the next input, since events borrow.
  std::size_t replies_size_ = 0;
  std::size_t scanned_ = 0;

  ProbeStage probe_stage_ = ProbeStage::kIdle;
  Instant probe_at_ = kNever;
  Instant probe_until_ = kNever;
  Buffer probe_reply_;
  std::size_t probe_size_ = 0;

  FixedVector<RetiredProcess> retired_;

  std::uint64_t reconnects_ = 0;
  std::uint64_t replacements_ = 0;
  std::uint64_t old_given_up_ = 0;
};

}  // namespace shoal::haproxy
