// User events that have been seen: each is delivered and passed on once, and told again to whoever pushes and pulls
// (gossip-protocol facts 5.5). And the waiting room of events that may be told as one (5.10).
//
// An event is told apart by Lamport time, name and payload. Memory is fixed: a table of marks, one for each event, and
// a ring of bytes with the events' names and payloads in order of arrival. When the ring comes round, the oldest bytes
// go and their marks stay: such an event is still known as a duplicate, but no push/pull tells it any more. When the
// marks run out, the oldest Lamport time goes as a whole, and from then on everything so old is refused: an event is
// rather lost than delivered twice.
#pragma once

#include <array>
#include <cstdint>

#include "base/containers.h"
#include "base/time.h"
#include "serf/lamport.h"

namespace shoal::serf {

/// Name and payload together: what fits into one datagram.
inline constexpr std::size_t kUserEventBytesMax = 1400;

/// What became of an event.
enum class EventVerdict : std::uint8_t {
  kNew,        // Deliver it, and pass it on. All others: neither.
  kDuplicate,  //
  kTooOld,     // Older than the buffer reaches back, or than the minimum.
  kTooBig,     // More than kUserEventBytesMax.
  kCrowded,    // More than kEventsPerTimeMax events with one Lamport time.
};
inline constexpr std::size_t kEventVerdicts = 5;
[[nodiscard]] std::string_view to_text(EventVerdict verdict);

class EventBuffer {
 public:
  static constexpr std::size_t kTimes = 512;  // Lamport times; serf's number: every node has to agree on what is old.
  static constexpr std::size_t kEventsPerTimeMax = 64;
  static constexpr std::size_t kMarks = 2048;
  static constexpr std::size_t kRingBytes = std::size_t{128} << 10;

  EventBuffer();

  /// `clock` is the event clock after it has witnessed `ltime`. An event of one's own goes the same way.
  EventVerdict on_event(LamportTime clock, LamportTime ltime, std::string_view name, Bytes payload);
  /// Events older than `ltime` are refused from now on: those before a start (from the snapshot) or before a join that
  /// ignores old events. Never goes back.
  void raise_minimum(LamportTime ltime) { minimum_ = ltime > minimum_ ? ltime : minimum_; }
  [[nodiscard]] LamportTime minimum() const { return minimum_; }

  /// How many Lamport times `walk` tells.
  [[nodiscard]] std::size_t times_stored() const;
  /// For the push/pull: for each Lamport time with bytes still there `on_time(ltime, how_many_events)`, then
  /// `on_event(name, payload)` for each of these, in order of arrival.
  template <typename OnTime, typename OnEvent>
  void walk(OnTime&& on_time, OnEvent&& on_event) const {
    for (const Time& time : times_) {
      const std::size_t events = stored(time);
      if (events == 0) continue;
      on_time(time.ltime, events);
      for (std::uint16_t i = time.first; i != kNoMark; i = marks_[i].next) {
        if (!is_stored(marks_[i])) continue;
        on_event(name_of(marks_[i]), payload_of(marks_[i]));
      }
    }
  }
  [[nodiscard]] std::uint64_t count(EventVerdict verdict) const { return counts_[static_cast<std::size_t>(verdict)]; }

 private:
  static constexpr std::uint16_t kNoMark = 0xffff;
  struct Mark {
    std::uint64_t hash = 0;
    std::uint64_t position = 0;  // In all bytes ever written to the ring.
    std::uint16_t name_size = 0;
    std::uint16_t payload_size = 0;
    std::uint16_t next = kNoMark;  // Of the same Lamport time, or free.
  };
  struct Time {
    LamportTime ltime = 0;
    std::uint16_t first = kNoMark;  // None: the place is free.
    std::uint16_t last = kNoMark;
    std::uint16_t size = 0;
  };

  EventVerdict judge(LamportTime clock, LamportTime ltime, std::string_view name, Bytes payload);
  [[nodiscard]] bool is_known(const Time& time, std::uint64_t hash, std::string_view name, Bytes payload) const;
  [[nodiscard]] bool is_stored(const Mark& mark) const { return written_ - mark.position <= kRingBytes; }
  [[nodiscard]] std::string_view name_of(const Mark& mark) const;
  [[nodiscard]] Bytes payload_of(const Mark& mark) const;
  [[nodiscard]] std::size_t stored(const Time& time) const;
  void forget(Time& time);
  bool forget_before(LamportTime ltime);
  std::uint64_t store(std::string_view name, Bytes payload);

  FixedVector<Time> times_;  // By Lamport time mod kTimes.
  FixedVector<Mark> marks_;
  std::uint16_t free_ = kNoMark;
  mutable Buffer ring_;  // Mutable: a Buffer lends its bytes for writing only.
  std::uint64_t written_ = 0;
  LamportTime minimum_ = 0;
  std::array<std::uint64_t, kEventVerdicts> counts_{};
};

/// Events that their senders call replaceable are held back until no more come for a while, and of each name only those
/// with the newest Lamport time are told. Not enough room: told at once.
class EventCoalescer {
 public:
  static constexpr Duration kQuiescent = 1s;  // After the last one.
  static constexpr Duration kQuantum = 3s;    // After the first one, whatever comes.
  static constexpr std::size_t kEventsMax = 128;
  static constexpr std::size_t kBytesMax = std::size_t{64} << 10;

  EventCoalescer() : events_(kEventsMax), bytes_(kBytesMax) {}

  /// `deliver(ltime, name, payload)` is called for what has to be told before this one has room, if anything. The views
  /// given to `deliver` are good until it returns.
  template <typename Deliver>
  void on_event(Instant now, LamportTime ltime, std::string_view name, Bytes payload, Deliver&& deliver) {
    if (add(now, ltime, name, payload)) return;
    flush(deliver);
    if (!add(now, ltime, name, payload)) deliver(ltime, name, payload);
  }
  template <typename Deliver>
  void on_deadline(Instant now, Deliver&& deliver) {
    if (now >= next_deadline()) flush(deliver);
  }
  /// Tells everything, in order of arrival: at the deadline, and at the end of the program.
  template <typename Deliver>
  void flush(Deliver&& deliver) {
    for (const Event& event : events_) deliver(event.ltime, name_of(event), payload_of(event));
    clear();
  }
  [[nodiscard]] Instant next_deadline() const { return events_.empty() ? kNever : earlier(quiet_at_, latest_at_); }
  /// Events that came too late, or gave way to a newer one.
  [[nodiscard]] std::uint64_t superseded() const { return superseded_; }

 private:
  struct Event {
    LamportTime ltime = 0;
    std::uint32_t offset = 0;
    std::uint32_t name_size = 0;
    std::uint32_t payload_size = 0;
  };

  bool add(Instant now, LamportTime ltime, std::string_view name, Bytes payload);
  [[nodiscard]] std::string_view name_of(const Event& event) const;
  [[nodiscard]] Bytes payload_of(const Event& event) const;
  void clear();

  FixedVector<Event> events_;
  mutable Buffer bytes_;  // As above.
  std::size_t bytes_used_ = 0;
  Instant quiet_at_{};
  Instant latest_at_{};
  std::uint64_t superseded_ = 0;
};

}  // namespace shoal::serf
