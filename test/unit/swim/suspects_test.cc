#include "swim/suspects.h"

#include <doctest/doctest.h>

namespace shoal::swim {
namespace {

Suspicion since(Duration start) { return Suspicion(lan_timing(), 10, 1, Instant{} + start); }

TEST_CASE("each suspicion is found by its slot, whoever else comes and goes") {
  Suspects suspects(8);
  for (const Slot slot : {Slot{7}, Slot{0}, Slot{3}}) suspects.begin(slot, since(std::chrono::seconds(slot)));
  const auto is_of = [&](Slot slot) {
    return suspects[slot].deadline() == since(std::chrono::seconds(slot)).deadline();
  };
  CHECK(suspects.size() == 3);
  CHECK(is_of(7));
  CHECK(is_of(0));
  CHECK(is_of(3));
  suspects.end(7);  // The last takes its place.
  CHECK(suspects.size() == 2);
  CHECK(suspects.slot_at(0) == 3);
  CHECK(suspects.slot_at(1) == 0);
  CHECK(is_of(0));
  CHECK(is_of(3));
  suspects.end(0);
  suspects.begin(7, since(7s));
  CHECK(suspects.slot_at(1) == 7);
  CHECK(is_of(7));
  CHECK(suspects.deadline_at(0) == since(3s).deadline());
}

TEST_CASE("everybody may be a suspect at once") {
  Suspects suspects(100);
  for (Slot slot = 0; slot < 100; ++slot) suspects.begin(slot, since(1s));
  CHECK(suspects.size() == 100);
  for (Slot slot = 0; slot < 100; ++slot) suspects.end(slot);
  CHECK(suspects.size() == 0);
}

}  // namespace
}  // namespace shoal::swim
