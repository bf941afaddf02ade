// The serf half of a push/pull. It is walked where it lies; nothing of it is stored but runs of names on the stack.
#include <algorithm>
#include <array>

#include "base/check.h"
#include "wire/messages.h"
#include "wire/msgpack.h"

namespace shoal::wire {
namespace {

using msgpack::Reader;
using Name = std::string_view;

// The parts of a state as they stand in the input; empty = missing.
struct StateParts {
  SerfStateClocks clocks;
  Bytes statuses{};
  Bytes lefts{};
  Bytes events{};
};

bool split_state(Bytes body, StateParts& out) {
  static constexpr std::array<Name, 6> kNames = {"LTime",      "StatusLTimes", "LeftMembers",
                                                 "EventLTime", "Events",       "QueryLTime"};
  Reader in(body);
  if (body.empty()) return false;
  msgpack::read_struct(in, kNames, [&](std::uint32_t field) {
    switch (field) {
      case 0: out.clocks.ltime = in.read_uint<std::uint64_t>(); break;
      case 1: out.statuses = in.skip(); break;
      case 2: out.lefts = in.skip(); break;
      case 3: out.clocks.event_ltime = in.read_uint<std::uint64_t>(); break;
      case 4: out.events = in.skip(); break;
      case 5: out.clocks.query_ltime = in.read_uint<std::uint64_t>(); break;
    }
  });
  return in.ok();
}

// The three walks return false when the part is malformed.

template <typename F>
bool for_each_status(Bytes statuses, F&& f) {
  if (statuses.empty()) return true;
  Reader in(statuses);
  const std::uint32_t count = in.read_map();
  if (count > kSerfStateNamesMax) return false;
  for (std::uint32_t i = 0; i < count; ++i) {
    const Name node = in.read_key();
    const std::uint64_t ltime = in.read_uint<std::uint64_t>();
    if (!in.ok()) return false;
    f(node, ltime);
  }
  return in.ok();
}

template <typename F>
bool for_each_left(Bytes lefts, F&& f) {
  if (lefts.empty()) return true;
  Reader in(lefts);
  const std::uint32_t count = in.read_array();
  if (count > kSerfStateNamesMax) return false;
  for (std::uint32_t i = 0; i < count; ++i) {
    const Name node = in.read_text();
    if (!in.ok()) return false;
    f(node);
  }
  return in.ok();
}

template <typename F>
bool for_each_event_at(std::uint64_t ltime, Bytes events, F&& f) {
  static constexpr std::array<Name, 2> kNames = {"Name", "Payload"};
  if (events.empty()) return true;
  Reader in(events);
  const std::uint32_t count = in.read_array();
  for (std::uint32_t i = 0; i < count; ++i) {
    UserEvent event;
    event.ltime = ltime;
    msgpack::read_struct(in, kNames, [&](std::uint32_t field) {
      if (field == 0) {
        event.name = in.read_text();
      } else {
        event.payload = in.read_bytes();
      }
    });
    if (!in.ok()) return false;
    f(event);
  }
  return in.ok();
}

template <typename F>
bool for_each_event(Bytes events, F&& f) {
  static constexpr std::array<Name, 2> kNames = {"LTime", "Events"};
  if (events.empty()) return true;
  Reader in(events);
  const std::uint32_t slots = in.read_array();
  for (std::uint32_t i = 0; i < slots; ++i) {
    if (in.at_nil()) {
      in.skip();
      continue;
    }
    std::uint64_t ltime = 0;
    Bytes same_time{};
    msgpack::read_struct(in, kNames, [&](std::uint32_t field) {
      if (field == 0) {
        ltime = in.read_uint<std::uint64_t>();
      } else {
        same_time = in.skip();
      }
    });
    if (!in.ok() || !for_each_event_at(ltime, same_time, f)) return false;
  }
  return in.ok();
}

// A run of names, sorted for look-up. Long lists are worked off run by run, so that the memory is fixed and the work is
// at most kSerfStateNamesMax look-ups a run, whatever names a peer may think of.
class NameRun {
 public:
  struct Entry {
    Name node;
    std::uint64_t ltime = 0;
    bool left = false;
  };

  [[nodiscard]] bool full() const { return size_ == entries_.size(); }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  void add(Name node, std::uint64_t ltime) { entries_[size_++] = {node, ltime, false}; }
  void clear() { size_ = 0; }
  // Equal names stay in the order of the input, which is that of their places in memory.
  void sort() {
    std::sort(entries_.begin(), entries_.begin() + size_, [](const Entry& a, const Entry& b) {
      const int order = a.node.compare(b.node);
      return order != 0 ? order < 0 : a.node.data() < b.node.data();
    });
  }
  /// The first entry of this name, none = nullptr. What it is told holds for the others of the name, too, after
  /// share(): a look-up that went to each of them would be work of the square of a list with one name all over.
  [[nodiscard]] Entry* first_of(Name node) {
    const auto end = entries_.begin() + size_;
    const auto entry = std::lower_bound(entries_.begin(), end, node, [](const Entry& e, Name n) { return e.node < n; });
    return entry != end && entry->node == node ? &*entry : nullptr;
  }
  template <typename F>
  void share(F&& f) {
    for (std::size_t i = 1; i < size_; ++i) {
      if (entries_[i].node == entries_[i - 1].node) f(entries_[i - 1], entries_[i]);
    }
  }
  template <typename F>
  void for_each(F&& f) const {
    for (std::size_t i = 0; i < size_; ++i) f(entries_[i]);
  }

 private:
  std::array<Entry, 2048> entries_;
  std::uint32_t size_ = 0;
};

void tell_left_run(NameRun& run, Bytes statuses, SerfStateVisitor& visitor) {
  if (run.empty()) return;
  run.sort();
  const bool whole = for_each_status(statuses, [&](Name node, std::uint64_t ltime) {
    if (NameRun::Entry* entry = run.first_of(node)) entry->ltime = ltime;
  });
  SHOAL_ASSERT(whole);
  run.share([](const NameRun::Entry& from, NameRun::Entry& to) { to.ltime = from.ltime; });
  run.for_each([&](const NameRun::Entry& entry) { visitor.on_status(entry.node, entry.ltime, true); });
  run.clear();
}

void tell_other_run(NameRun& run, Bytes lefts, SerfStateVisitor& visitor) {
  if (run.empty()) return;
  run.sort();
  const bool whole = for_each_left(lefts, [&](Name node) {
    if (NameRun::Entry* entry = run.first_of(node)) entry->left = true;
  });
  SHOAL_ASSERT(whole);
  run.share([](const NameRun::Entry& from, NameRun::Entry& to) { to.left = from.left; });
  run.for_each([&](const NameRun::Entry& entry) {
    if (!entry.left) visitor.on_status(entry.node, entry.ltime, false);
  });
  run.clear();
}

void tell_statuses(const StateParts& parts, SerfStateVisitor& visitor) {
  NameRun run;
  bool whole = for_each_left(parts.lefts, [&](Name node) {
    if (run.full()) tell_left_run(run, parts.statuses, visitor);
    run.add(node, 0);
  });
  tell_left_run(run, parts.statuses, visitor);
  whole = whole && for_each_status(parts.statuses, [&](Name node, std::uint64_t ltime) {
            if (run.full()) tell_other_run(run, parts.lefts, visitor);
            run.add(node, ltime);
          });
  tell_other_run(run, parts.lefts, visitor);
  SHOAL_ASSERT(whole);
}

}  // namespace

bool read_serf_state(Bytes state, SerfStateVisitor& visitor) {
  if (state.empty() || state[0] != static_cast<std::uint8_t>(SerfType::kPushPull)) return false;
  StateParts parts;
  if (!split_state(state.subspan(1), parts)) return false;
  const auto ignore = [](const auto&...) {};
  if (!for_each_status(parts.statuses, ignore) || !for_each_left(parts.lefts, ignore) ||
      !for_each_event(parts.events, ignore)) {
    return false;
  }
  visitor.on_clocks(parts.clocks);
  tell_statuses(parts, visitor);
  return for_each_event(parts.events, [&](const UserEvent& event) { visitor.on_event(event); });
}

SerfStateWriter::SerfStateWriter(ByteWriter& out, const SerfStateClocks& clocks, std::uint32_t members,
                                 std::uint32_t lefts, std::uint32_t event_times)
    : out_(out), statuses_left_(members), lefts_(lefts), event_times_(event_times) {
  out_.u8(static_cast<std::uint8_t>(SerfType::kPushPull));
  msgpack::put_map(out_, 6);
  msgpack::put_uint(out_, "EventLTime", clocks.event_ltime);
  msgpack::put_uint(out_, "LTime", clocks.ltime);
  msgpack::put_uint(out_, "QueryLTime", clocks.query_ltime);
  msgpack::put_text(out_, "StatusLTimes");
  msgpack::put_map(out_, members);
  if (members == 0) begin_lefts();
}

void SerfStateWriter::status(std::string_view node, std::uint64_t ltime) {
  SHOAL_ASSERT(statuses_left_ > 0);
  msgpack::put_uint(out_, node, ltime);
  if (--statuses_left_ == 0) begin_lefts();
}

void SerfStateWriter::begin_lefts() {
  msgpack::put_text(out_, "LeftMembers");
  msgpack::put_array(out_, lefts_);
  if (lefts_ == 0) begin_events();
}

void SerfStateWriter::left(std::string_view node) {
  SHOAL_ASSERT(statuses_left_ == 0 && lefts_ > 0);
  msgpack::put_text(out_, node);
  if (--lefts_ == 0) begin_events();
}

void SerfStateWriter::begin_events() {
  msgpack::put_text(out_, "Events");
  if (event_times_ == 0) return msgpack::put_nil(out_);
  msgpack::put_array(out_, event_times_);
}

void SerfStateWriter::events_at(std::uint64_t ltime, std::uint32_t count) {
  SHOAL_ASSERT(statuses_left_ == 0 && lefts_ == 0 && events_ == 0 && event_times_ > 0 && count > 0);
  --event_times_;
  events_ = count;
  msgpack::put_map(out_, 2);
  msgpack::put_uint(out_, "LTime", ltime);
  msgpack::put_text(out_, "Events");
  msgpack::put_array(out_, count);
}

void SerfStateWriter::event(std::string_view name, Bytes payload) {
  SHOAL_ASSERT(events_ > 0);
  --events_;
  msgpack::put_map(out_, 2);
  msgpack::put_text(out_, "Name", name);
  msgpack::put_bytes(out_, "Payload", payload);
}

}  // namespace shoal::wire
