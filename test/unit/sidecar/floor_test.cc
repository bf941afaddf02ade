#include "sidecar/floor.h"

#include <doctest/doctest.h>

using namespace shoal;
using namespace shoal::sidecar;

namespace {

const Instant kNow = Instant{} + 1h;

Look answered(VerifyResult result, Duration ago = 0s) {
  Look look;
  look.take(kNow - ago, result);
  return look;
}

PoolShare share(std::uint32_t staying, std::uint32_t answering) {
  PoolShare out;
  out.staying = staying;
  out.answering = answering;
  return out;
}

constexpr auto kConnected = VerifyResult::kConnected;
constexpr auto kRefused = VerifyResult::kRefused;
constexpr auto kTimedOut = VerifyResult::kTimedOut;
constexpr auto kUnreachable = VerifyResult::kUnreachable;

}  // namespace

TEST_CASE("The least that stays is the share rounded up, and never less than one") {
  CHECK(least_staying(12, 50) == 6);
  CHECK(least_staying(3, 50) == 2);
  CHECK(least_staying(2, 50) == 1);
  CHECK(least_staying(1, 50) == 1);
  CHECK(least_staying(0, 50) == 1);
  CHECK(least_staying(12, 0) == 1);
  CHECK(least_staying(12, 100) == 12);
  CHECK(least_staying(100, 1) == 1);
  CHECK(least_staying(101, 1) == 2);
}

TEST_CASE("What each answer is weighed against") {
  struct Row {
    const char* what;
    Ask ask;
    VerifyResult result;
    PoolShare others;
    Ruling expected;
  };
  const Row rows[] = {
      {"refused leaves whatever stays", Ask::kFloor, kRefused, share(0, 0), Ruling::kLeaves},
      {"timed out with room", Ask::kFloor, kTimedOut, share(6, 0), Ruling::kLeaves},
      {"timed out without room", Ask::kFloor, kTimedOut, share(5, 5), Ruling::kHold},
      {"unreachable is silence", Ask::kFloor, kUnreachable, share(5, 5), Ruling::kHold},
      {"connected with room", Ask::kFloor, kConnected, share(6, 6), Ruling::kLeaves},
      {"connected, what stays does not answer", Ask::kFloor, kConnected, share(11, 5), Ruling::kHold},
      {"its member is back: only a refusal counts", Ask::kPlace, kConnected, share(9, 9), Ruling::kHold},
      {"its member is back, and silent", Ask::kPlace, kTimedOut, share(9, 9), Ruling::kHold},
      {"its member is back, nobody listens", Ask::kPlace, kRefused, share(0, 0), Ruling::kLeaves},
      {"nothing to ask", Ask::kNothing, kConnected, share(0, 0), Ruling::kLeaves},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    CHECK(static_cast<int>(rule(kNow, row.ask, answered(row.result), row.others, 6)) == static_cast<int>(row.expected));
  }
}

TEST_CASE("Without a fresh answer nothing is decided") {
  CHECK(rule(kNow, Ask::kFloor, Look{}, share(9, 9), 6) == Ruling::kWait);
  CHECK(rule(kNow, Ask::kFloor, answered(kRefused, kLookIsFreshFor), share(9, 9), 6) == Ruling::kLeaves);
  CHECK(rule(kNow, Ask::kFloor, answered(kRefused, kLookIsFreshFor + 1ms), share(9, 9), 6) == Ruling::kWait);
}

TEST_CASE("Five minutes of time-outs end a hold; one other answer in between begins them anew") {
  Look look;
  look.take(kNow - 5min, kTimedOut);
  look.take(kNow - 1ms, kUnreachable);
  CHECK(rule(kNow, Ask::kFloor, look, share(0, 0), 1) == Ruling::kHold);  // Silence that was seen.
  look.take(kNow, kUnreachable);
  CHECK(rule(kNow, Ask::kFloor, look, share(0, 0), 1) == Ruling::kGivenUp);
  look.take(kNow + 2ms, kConnected);
  look.take(kNow + 3ms, kTimedOut);
  CHECK(rule(kNow + 3ms, Ask::kFloor, look, share(0, 0), 1) == Ruling::kHold);
  // One that connects is kept without limit.
  look = Look{};
  look.take(kNow - 24h, kConnected);
  look.take(kNow, kConnected);
  CHECK(rule(kNow, Ask::kFloor, look, share(0, 0), 1) == Ruling::kHold);
}
