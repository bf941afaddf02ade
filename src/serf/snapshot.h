// Serf's snapshot file: whom this node knew and what time it was, so that after a restart it finds its cluster again
// without seeds and repeats no old event (gossip-protocol facts 5.12). A file that serf wrote is read, and serf reads
// ours.
//
// The format: lines of text, each ended by a newline, in order of time.
//
//     alive: NAME IP:PORT      a member joined, or changed its address. The last space splits; IPv6 is in brackets
//     not-alive: NAME          it left or failed
//     clock: N                 the newest Lamport time seen in intents,
//     event-clock: N           in user events,
//     query-clock: N           in queries
//     leave                    this node left: all the above is void, unless it is to rejoin after a leave
//     coordinate: ...          of old versions: ignored
//     # ...                    ignored
//
// Anything else is ignored and counted, so is a last line that has no newline: the machine went down while it was
// written. An example,
//
//     alive: web 1 10.0.0.7:7946
//     alive: db [2001:db8::7]:7946
//     clock: 12
//     not-alive: db
//     clock: 13
//
// says: "web 1" is at 10.0.0.7:7946, time 13, no event and no query seen.
//
// The file grows. When it is larger than what the living members need, it is written anew beside itself, under
// PATH.compact, and renamed over PATH: at no moment is there no good file under PATH.
//
// Two cores, no file: SnapshotReplay is fed the bytes of the file, SnapshotWriter says what to do to the file.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>

#include "base/named_table.h"
#include "base/time.h"
#include "serf/lamport.h"
#include "swim/members.h"

namespace shoal::serf {

/// A member as the file knows it.
struct SnapshotNode {
  swim::NodeName name;
  Endpoint endpoint;
  bool held = false;  // The writer's: the slot is in use.
  bool seen = false;  // The writer's: alive in this life, not only in the file.
};

/// The newest time seen of each kind; 0 = none.
struct SnapshotClocks {
  LamportTime member = 0;  // A LamportClock's now() - 1.
  LamportTime event = 0;
  LamportTime query = 0;
  friend bool operator==(const SnapshotClocks&, const SnapshotClocks&) = default;
};

class SnapshotReplay {
 public:
  /// A name, an address, and the longest word before them. A longer line is skipped.
  static constexpr std::size_t kLineMax = swim::kNameBytesMax + 80;

  SnapshotReplay(std::size_t members_max, bool rejoin_after_leave)
      : nodes_(members_max), rejoin_after_leave_(rejoin_after_leave) {}

  /// The next piece of the file; pieces may end anywhere. After the last one the answers below are right.
  void on_bytes(Bytes chunk);

  /// Those last known to be alive, perhaps this node too.
  [[nodiscard]] const NamedTable<SnapshotNode>& nodes() const { return nodes_; }
  [[nodiscard]] const SnapshotClocks& clocks() const { return clocks_; }
  /// The last word was that this node leaves: it did not die.
  [[nodiscard]] bool left() const { return left_; }
  /// All bytes so far.
  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
  /// The file does not end with a newline: to append would spoil one more line.
  [[nodiscard]] bool cut_off() const { return line_.size() > 0 || skipping_; }
  [[nodiscard]] std::uint64_t lines_bad() const { return lines_bad_; }            // Not understood.
  [[nodiscard]] std::uint64_t lines_long() const { return lines_long_; }          // More than kLineMax bytes.
  [[nodiscard]] std::uint64_t nodes_too_many() const { return nodes_too_many_; }  // Did not fit into members_max.

 private:
  void on_line(std::string_view line);
  [[nodiscard]] bool on_alive(std::string_view rest);
  void on_leave();

  NamedTable<SnapshotNode> nodes_;
  bool rejoin_after_leave_;
  SnapshotClocks clocks_;
  bool left_ = false;
  FixedString<kLineMax> line_;  // Its beginning, when it came in pieces.
  bool skipping_ = false;       // In a line that is too long.
  std::uint64_t size_bytes_ = 0;
  std::uint64_t lines_bad_ = 0;
  std::uint64_t lines_long_ = 0;
  std::uint64_t nodes_too_many_ = 0;
};

/// What to do to the files, in this order. `bytes` belong to the writer and stay until the answer.
struct SnapshotEffect {
  enum class Kind : std::uint8_t {
    kAppend,            // Write `bytes` to the end of PATH, all of them or fail.
    kSync,              // fsync PATH.
    kBeginCompaction,   // Open PATH.compact for writing, empty. PATH stays open and as it is.
    kCompactionPart,    // Write `bytes` to the end of PATH.compact.
    kFinishCompaction,  // fsync PATH.compact, rename it to PATH, append to it from now on. Failed = not renamed.
  };
  Kind kind = Kind::kAppend;
  Bytes bytes{};
};

struct SnapshotOptions {
  std::size_t members_max = 10'000;
  bool rejoin_after_leave = false;
  std::uint64_t compact_size_min = std::uint64_t{128} << 10;  // Smaller files are left alone.
};

/// Inputs only note what has changed. Whoever owns the files asks for an effect whenever an input was given or the
/// deadline has come, does it, says how it went, and asks again until there is none:
///
///     while (const auto effect = writer.take_effect(now)) do_it(*effect) ? writer.on_written(now)
///                                                                        : writer.on_write_failed(now);
///
/// One effect at a time; its answer may come later. A failed write is never repeated as it was, since part of it may be
/// in the file: nothing more is appended, and the file is written anew from what is known. A failed compaction leaves
/// PATH as it is; the shell closes PATH.compact.
class SnapshotWriter {
 public:
  static constexpr Duration kFlushInterval = 500ms;
  static constexpr Duration kRetryInterval = 30s;      // Between two compactions of which the first failed.
  static constexpr std::uint64_t kBytesPerNode = 128;  // Of a compacted file, roughly.
  static constexpr std::uint64_t kGrowth = 2;          // Times this is when it pays to compact.
  static constexpr std::size_t kPendingMax = std::size_t{32} << 10;
  static constexpr std::size_t kPartMax = std::size_t{16} << 10;

  /// Goes on where the file ended. A file that was cut off is written anew first.
  SnapshotWriter(const SnapshotOptions& options, const SnapshotReplay& replay);

  void on_member_alive(std::string_view name, const Endpoint& endpoint);
  void on_member_gone(std::string_view name);
  /// What the clocks have seen by now; to be called as often as is convenient, it is cheap.
  void on_clocks(const SnapshotClocks& clocks);
  /// This node leaves: written and synced at once, nothing is recorded after it.
  void leave();
  /// The program ends: all that waits is due at once, then synced. closed() says when that is done.
  void close();

  [[nodiscard]] std::optional<SnapshotEffect> take_effect(Instant now);
  void on_written(Instant now);
  void on_write_failed(Instant now);
  [[nodiscard]] Instant next_deadline() const;

  /// After close(): all is written and synced, or the disk has just refused it. The files may be closed.
  [[nodiscard]] bool closed(Instant now) const {
    return closing_ && doing_ == Doing::kNothing && next_deadline() > now;
  }
  [[nodiscard]] std::size_t alive() const { return nodes_.size(); }
  [[nodiscard]] std::uint64_t compactions() const { return compactions_; }
  [[nodiscard]] std::uint64_t write_errors() const { return write_errors_; }
  [[nodiscard]] std::uint64_t lines_dropped() const { return lines_dropped_; }      // A compaction makes up for them.
  [[nodiscard]] std::uint64_t names_refused() const { return names_refused_; }      // Empty, or with a control byte.
  [[nodiscard]] std::uint64_t members_dropped() const { return members_dropped_; }  // Beyond members_max.

 private:
  /// kBroken: the last append failed, so nothing more may be appended until a compaction has replaced the file.
  enum class FileState : std::uint8_t { kGood, kBroken };
  /// The effect under way, whose answer is awaited.
  enum class Doing : std::uint8_t { kNothing, kAppend, kSync, kBegin, kPart, kFinish };

  Slot insert(std::string_view name, const Endpoint& endpoint);
  [[nodiscard]] bool make_room();
  void erase(Slot slot);
  void put_line(std::initializer_list<std::string_view> parts, std::size_t reserve);
  void put_clock_lines();
  [[nodiscard]] bool in_a_hurry() const { return left_ || closing_; }
  [[nodiscard]] bool has_lines() const { return pending_size_ > 0 || (!left_ && clocks_ != clocks_written_); }
  [[nodiscard]] bool wants_compaction() const;
  [[nodiscard]] SnapshotEffect begin_compaction(Instant now);
  [[nodiscard]] SnapshotEffect next_part();
  void end_compaction(Instant now, bool done);

  SnapshotOptions options_;
  NamedTable<SnapshotNode> nodes_;
  std::size_t slots_used_ = 0;     // The highest slot ever used, plus one.
  SnapshotClocks clocks_;          // Seen by now,
  SnapshotClocks clocks_written_;  // and said by the file with what is pending.
  bool left_ = false;
  bool closing_ = false;

  FileState file_ = FileState::kGood;
  Doing doing_ = Doing::kNothing;
  std::uint64_t size_ = 0;            // Of the file, by what was written.
  std::uint64_t size_compacted_ = 0;  // After the last compaction.
  bool stale_ = false;                // Lines were dropped: the file does not say all that we know.
  bool sync_due_ = false;
  Instant flush_at_{};  // Not sooner, so that lines go together.

  bool compacting_ = false;
  bool was_stale_ = false;           // Before the compaction under way.
  Slot next_slot_ = 0;               // The walk of the compaction under way.
  bool tail_written_ = false;        // The walk is over, the clocks are written too:
  SnapshotClocks clocks_compacted_;  // these.
  std::uint64_t compact_size_ = 0;   // What it has written.
  Instant compact_at_{};             // Not sooner.

  Buffer pending_;  // Whole lines, not yet written,
  std::size_t pending_size_ = 0;
  std::size_t appending_ = 0;  // the first of them being written right now.
  Buffer part_;

  std::uint64_t compactions_ = 0;
  std::uint64_t write_errors_ = 0;
  std::uint64_t lines_dropped_ = 0;
  std::uint64_t names_refused_ = 0;
  std::uint64_t members_dropped_ = 0;
};

}  // namespace shoal::serf
