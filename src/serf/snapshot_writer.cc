#include <algorithm>
#include <charconv>
#include <cstring>

#include "serf/snapshot.h"

namespace shoal::serf {

namespace {

// Kept free of members' lines: room for the clocks, twice, and the word that we leave.
constexpr std::size_t kReserve = 256;
constexpr std::size_t kTailMax = 128;  // Three clocks and a leave.

struct TimeText {
  explicit TimeText(LamportTime time) {
    size = static_cast<std::size_t>(std::to_chars(digits, digits + sizeof digits, time).ptr - digits);
  }
  [[nodiscard]] std::string_view view() const { return {digits, size}; }
  char digits[20];
  std::size_t size;
};

// A newline in a name would forge a line of its own, and other control bytes have no business in a text file.
bool is_writable(std::string_view name) {
  return !name.empty() && name.size() <= swim::kNameBytesMax && std::all_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) >= ' ' && c != '\x7f';
  });
}

}  // namespace

SnapshotWriter::SnapshotWriter(const SnapshotOptions& options, const SnapshotReplay& replay)
    : options_(options),
      nodes_(options.members_max),
      clocks_(replay.clocks()),
      clocks_written_(replay.clocks()),
      file_(replay.cut_off() ? FileState::kBroken : FileState::kGood),
      size_(replay.size_bytes()),
      pending_(kPendingMax),
      part_(kPartMax) {
  for (const Slot from : replay.nodes().slots()) {
    const SnapshotNode& node = replay.nodes()[from];
    // What the file has beyond our limit or with a bad name is left out when it is written anew.
    if (nodes_.full() || !is_writable(node.name)) {
      stale_ = true;
    } else {
      insert(node.name, node.endpoint);
    }
  }
}

void SnapshotWriter::on_member_alive(std::string_view name, const Endpoint& endpoint) {
  if (left_) return;
  if (!is_writable(name) || endpoint.addr.empty()) {
    ++names_refused_;
    return;
  }
  const Slot known = nodes_.find(name);
  if (known != kNoSlot) {
    SnapshotNode& node = nodes_[known];
    node.seen = true;
    if (same_place(node.endpoint, endpoint)) return;  // The file says so already.
    node.endpoint = endpoint;
  } else {
    if (nodes_.full() && !make_room()) {
      ++members_dropped_;
      return;
    }
    nodes_[insert(name, endpoint)].seen = true;
  }
  put_line({"alive: ", name, " ", to_text(endpoint), "\n"}, kReserve);
}

void SnapshotWriter::on_member_gone(std::string_view name) {
  const Slot slot = nodes_.find(name);
  if (left_ || slot == kNoSlot) return;
  put_line({"not-alive: ", name, "\n"}, kReserve);
  erase(slot);
}

void SnapshotWriter::on_clocks(const SnapshotClocks& clocks) {
  if (left_) return;
  clocks_ = {std::max(clocks_.member, clocks.member), std::max(clocks_.event, clocks.event),
             std::max(clocks_.query, clocks.query)};
}

void SnapshotWriter::leave() {
  if (left_) return;
  put_clock_lines();
  put_line({"leave\n"}, 0);
  left_ = true;
  sync_due_ = true;
  compact_at_ = Instant{};  // A last chance for a file that could not be written.
  if (options_.rejoin_after_leave) return;
  while (nodes_.size() > 0) erase(nodes_.slots()[0]);
}

void SnapshotWriter::close() {
  if (closing_) return;
  closing_ = true;
  sync_due_ = true;
  compact_at_ = Instant{};
}

Slot SnapshotWriter::insert(std::string_view name, const Endpoint& endpoint) {
  const Slot slot = nodes_.insert(name);
  slots_used_ = std::max(slots_used_, slot + std::size_t{1});
  nodes_[slot].endpoint = endpoint;
  nodes_[slot].held = true;
  return slot;
}

void SnapshotWriter::erase(Slot slot) {
  nodes_[slot].held = false;
  nodes_.erase(slot);
}

// Somebody who was in the file, and has not been heard of since, gives way.
bool SnapshotWriter::make_room() {
  for (const Slot slot : nodes_.slots()) {
    if (nodes_[slot].seen) continue;
    put_line({"not-alive: ", nodes_[slot].name, "\n"}, kReserve);
    erase(slot);
    return true;
  }
  return false;
}

void SnapshotWriter::put_line(std::initializer_list<std::string_view> parts, std::size_t reserve) {
  ByteWriter out(pending_.bytes().subspan(pending_size_));
  for (const std::string_view part : parts) out.put(part);
  const bool has_place = file_ == FileState::kGood || compacting_;
  if (!has_place || !out.ok() || out.left() < reserve) {
    ++lines_dropped_;
    stale_ = true;
    return;
  }
  pending_size_ += out.size();
}

void SnapshotWriter::put_clock_lines() {
  const TimeText member(clocks_.member);
  const TimeText event(clocks_.event);
  const TimeText query(clocks_.query);
  if (clocks_.member != clocks_written_.member) put_line({"clock: ", member.view(), "\n"}, 0);
  if (clocks_.event != clocks_written_.event) put_line({"event-clock: ", event.view(), "\n"}, 0);
  if (clocks_.query != clocks_written_.query) put_line({"query-clock: ", query.view(), "\n"}, 0);
  clocks_written_ = clocks_;
}

bool SnapshotWriter::wants_compaction() const {
  if (file_ == FileState::kBroken || stale_) return true;
  // Twice what it was when it had just been compacted: names longer than kBytesPerNode must not make it go on for ever.
  const std::uint64_t needed = std::max(std::uint64_t{nodes_.size()} * kBytesPerNode, size_compacted_);
  return !in_a_hurry() && size_ > std::max(options_.compact_size_min, needed * kGrowth);
}

Instant SnapshotWriter::next_deadline() const {
  if (doing_ != Doing::kNothing) return kNever;
  if (compacting_) return Instant{};
  Instant next = wants_compaction() ? compact_at_ : kNever;
  if (file_ == FileState::kGood && has_lines()) next = earlier(next, in_a_hurry() ? Instant{} : flush_at_);
  if (file_ == FileState::kGood && sync_due_) next = Instant{};
  return next;
}

std::optional<SnapshotEffect> SnapshotWriter::take_effect(Instant now) {
  if (doing_ != Doing::kNothing) return std::nullopt;
  if (compacting_) return next_part();
  if (wants_compaction() && now >= compact_at_) return begin_compaction(now);
  if (file_ != FileState::kGood) return std::nullopt;
  if (has_lines() && (in_a_hurry() || now >= flush_at_)) {
    if (!left_) put_clock_lines();
    flush_at_ = now + kFlushInterval;
    doing_ = Doing::kAppend;
    appending_ = pending_size_;
    return SnapshotEffect{SnapshotEffect::Kind::kAppend, pending_.bytes().first(appending_)};
  }
  if (!sync_due_) return std::nullopt;
  sync_due_ = false;
  doing_ = Doing::kSync;
  return SnapshotEffect{SnapshotEffect::Kind::kSync, {}};
}

SnapshotEffect SnapshotWriter::begin_compaction(Instant now) {
  // Lines that wait are already in what is written now, and are right after it too: they say again what the last of
  // them says. Unless one of them was dropped.
  if (stale_ || file_ == FileState::kBroken) pending_size_ = 0;
  if (file_ == FileState::kBroken) compact_at_ = now + kRetryInterval;
  compacting_ = true;
  was_stale_ = stale_;
  stale_ = false;
  next_slot_ = 0;
  tail_written_ = false;
  compact_size_ = 0;
  doing_ = Doing::kBegin;
  return {SnapshotEffect::Kind::kBeginCompaction, {}};
}

// Members that come or go meanwhile are in the lines that wait, which follow when the new file is in place.
SnapshotEffect SnapshotWriter::next_part() {
  if (tail_written_) {
    doing_ = Doing::kFinish;
    return {SnapshotEffect::Kind::kFinishCompaction, {}};
  }
  constexpr std::size_t kLineMax = SnapshotReplay::kLineMax;
  ByteWriter out(part_.bytes());
  for (; next_slot_ < slots_used_ && out.left() >= kLineMax; ++next_slot_) {
    const SnapshotNode& node = nodes_[next_slot_];
    if (!node.held) continue;
    out.put("alive: ");
    out.put(node.name.view());
    out.put(" ");
    out.put(to_text(node.endpoint).view());
    out.put("\n");
  }
  if (next_slot_ == slots_used_ && out.left() >= kTailMax) {
    tail_written_ = true;
    clocks_compacted_ = clocks_;
    out.put("clock: ");
    out.put(TimeText(clocks_.member).view());
    out.put("\nevent-clock: ");
    out.put(TimeText(clocks_.event).view());
    out.put("\nquery-clock: ");
    out.put(TimeText(clocks_.query).view());
    out.put(left_ ? "\nleave\n" : "\n");
  }
  SHOAL_ASSERT(out.ok());
  doing_ = Doing::kPart;
  compact_size_ += out.size();
  return {SnapshotEffect::Kind::kCompactionPart, out.written()};
}

void SnapshotWriter::on_written(Instant now) {
  const Doing done = doing_;
  doing_ = Doing::kNothing;
  if (done == Doing::kFinish) end_compaction(now, true);
  if (done != Doing::kAppend) return;
  size_ += appending_;
  pending_size_ -= appending_;
  const MutableBytes memory = pending_.bytes();
  std::memmove(memory.data(), memory.data() + appending_, pending_size_);
}

void SnapshotWriter::on_write_failed(Instant now) {
  const Doing failed = doing_;
  doing_ = Doing::kNothing;
  ++write_errors_;
  if (compacting_) return end_compaction(now, false);
  SHOAL_ASSERT(failed == Doing::kAppend || failed == Doing::kSync);
  file_ = FileState::kBroken;
  pending_size_ = 0;
}

void SnapshotWriter::end_compaction(Instant now, bool done) {
  compacting_ = false;
  if (done) {
    ++compactions_;
    file_ = FileState::kGood;
    size_ = compact_size_;
    size_compacted_ = compact_size_;
    clocks_written_ = clocks_compacted_;
    return;
  }
  compact_at_ = now + kRetryInterval;
  stale_ = stale_ || was_stale_;
  if (file_ == FileState::kBroken) {
    pending_size_ = 0;
  } else if (left_) {
    put_line({"leave\n"}, 0);  // It may have been among the lines that were given up when the compaction began.
    sync_due_ = true;
  }
}

}  // namespace shoal::serf
