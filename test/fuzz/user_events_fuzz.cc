// User events: each is told once at most, what is kept for a push/pull is what was told, and what waits to be told as
// one is told in the end.
#include <set>
#include <string>
#include <tuple>

#include "base/check.h"
#include "input.h"
#include "serf/user_events.h"
#include "target.h"

namespace {

using namespace shoal;
using serf::EventVerdict;
using Event = std::tuple<std::uint64_t, std::string, std::string>;

void buffer(fuzz::Input& in) {
  serf::EventBuffer events;
  std::set<Event> told;
  std::uint64_t clock = 1;
  for (int step = 0; step < 400 && !in.empty(); ++step) {
    const std::uint8_t what = in.u8();
    if (what == 255) events.raise_minimum(in.u16());
    // Mostly near the clock, sometimes far ahead or behind.
    const std::uint64_t ltime = what < 240   ? clock + what % 4
                                : what < 250 ? clock - std::min<std::uint64_t>(clock, in.u16())
                                             : clock + in.u32();
    clock = std::max(clock, ltime + 1);
    const std::string name = fuzz::copy_of(in.take(in.u8() % 3));
    const std::string payload(in.flag() ? std::size_t{in.u16()} % 1500 : in.u8() % 4, 'p');
    const EventVerdict verdict = events.on_event(clock, ltime, name, as_bytes(payload));
    if (verdict == EventVerdict::kNew) {
      SHOAL_ASSERT(told.emplace(ltime, name, payload).second);  // Never twice.
      SHOAL_ASSERT(name.size() + payload.size() <= serf::kUserEventBytesMax);
      SHOAL_ASSERT(ltime >= events.minimum());
    } else if (verdict == EventVerdict::kDuplicate) {
      SHOAL_ASSERT(told.count({ltime, name, payload}) == 1);
    }
  }
  std::uint64_t at = 0;
  std::size_t left = 0, times = 0;
  events.walk(
      [&](std::uint64_t ltime, std::size_t count) {
        SHOAL_ASSERT(left == 0 && count > 0);
        at = ltime;
        left = count;
        ++times;
      },
      [&](std::string_view name, Bytes payload) {
        SHOAL_ASSERT(left-- > 0);
        SHOAL_ASSERT(told.count({at, std::string(name), std::string(as_text(payload))}) == 1);
      });
  SHOAL_ASSERT(left == 0 && times == events.times_stored());
}

void coalescer(fuzz::Input& in) {
  serf::EventCoalescer waiting;
  Instant now{};
  std::size_t given = 0, delivered = 0;
  const auto deliver = [&](std::uint64_t, std::string_view name, Bytes payload) {
    SHOAL_ASSERT(name.size() + payload.size() <= serf::kUserEventBytesMax);
    ++delivered;
  };
  for (int step = 0; step < 300 && !in.empty(); ++step) {
    const std::uint8_t what = in.u8();
    if (what < 60) {
      now += std::chrono::milliseconds(16 * what);
      waiting.on_deadline(now, deliver);
      SHOAL_ASSERT(waiting.next_deadline() > now);
    } else {
      const std::string name(1 + what % 5, 'n');
      const std::string payload(std::size_t{in.u8()} * 5, 'p');
      waiting.on_event(now, in.u8() % 8, name, as_bytes(payload), deliver);
      ++given;
    }
    SHOAL_ASSERT(waiting.next_deadline() == kNever || waiting.next_deadline() <= now + serf::EventCoalescer::kQuantum);
    SHOAL_ASSERT(delivered + waiting.superseded() <= given);
  }
  waiting.flush(deliver);
  SHOAL_ASSERT(delivered + waiting.superseded() == given && waiting.next_deadline() == kNever);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input one(data, size), two(data, size);
  buffer(one);
  coalescer(two);
  return 0;
}
