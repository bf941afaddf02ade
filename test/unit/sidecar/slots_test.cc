#include "sidecar/slots.h"

#include <doctest/doctest.h>

using namespace shoal;
using namespace shoal::sidecar;

namespace {

constexpr Instant kStart{};

Slot& put(SlotTable& slots, std::uint32_t number, std::string_view address, std::uint32_t weight,
          std::uint32_t pool = 0) {
  Slot& slot = slots[slots.find_or_add(pool, number)];
  slot.seen = slot.is_clean = true;
  slot.row.address = *Endpoint::parse(address);
  slot.row.weight = weight;
  slot.row.admin = 1;
  return slot;
}

std::uint32_t number_of_free(const SlotTable& slots, std::string_view place, std::uint32_t pool = 0) {
  const std::uint32_t index = slots.find_free(pool, *Endpoint::parse(place));
  return index == SlotTable::kNone ? 0 : slots[index].number;
}

}  // namespace

TEST_CASE("A slot's name is the prefix and a plain number, and nothing else") {
  CHECK(slot_number("shoal-7", "shoal-") == 7);
  CHECK(slot_number("shoal-0", "shoal-") == 0);
  CHECK(slot_number("shoal-123456789", "shoal-") == 123456789);
  for (const std::string_view other : {"shoal-", "shoal-07", "shoal-7a", "shoal-a7", "shoal-web-7", "shoal--7", "web-7",
                                       "shoal-1234567890", "shoal-+7", ""}) {
    CAPTURE(other);
    CHECK(!slot_number(other, "shoal-"));
  }
}

TEST_CASE(
    "Of the free slots: the one with the address, then one without a mark, then the longest free, then the first") {
  SlotTable slots(4);
  put(slots, 3, "127.0.0.1:1", 100);
  put(slots, 2, "127.0.0.1:1", 100);
  CHECK(number_of_free(slots, "10.0.0.1:80") == 2);
  put(slots, 2, "127.0.0.1:1", 100).free_since = kStart + 5s;
  CHECK(number_of_free(slots, "10.0.0.1:80") == 3);
  put(slots, 1, "10.0.0.9:80", 0).free_since = kStart - 1s;
  CHECK(number_of_free(slots, "10.0.0.1:80") == 1);
  put(slots, 1, "10.0.0.9:80", 50);  // As an operator leaves it.
  CHECK(number_of_free(slots, "10.0.0.1:80") == 3);
  CHECK(number_of_free(slots, "10.0.0.9:80") == 1);
  CHECK(number_of_free(slots, "10.0.0.9:80", 1) == 0);
}

TEST_CASE("What serves, is somebody's, was not seen, or may have requests is not free") {
  SlotTable slots(4);
  Slot& slot = put(slots, 1, "10.0.0.9:80", 0);
  CHECK(number_of_free(slots, "10.0.0.1:80") == 1);
  slot.row.admin = 0;
  CHECK(number_of_free(slots, "10.0.0.1:80") == 0);
  slot.row.admin = 8;  // HAProxy's drain.
  CHECK(number_of_free(slots, "10.0.0.1:80") == 0);
  slot.row.admin = 1;
  slot.server = 0;
  CHECK(number_of_free(slots, "10.0.0.1:80") == 0);
  slots.free(0, kStart);
  slot.is_clean = false;
  CHECK(number_of_free(slots, "10.0.0.1:80") == 0);
  slot.is_clean = true;
  slot.seen = false;
  CHECK(number_of_free(slots, "10.0.0.1:80") == 0);
}

TEST_CASE("Each pool's slots are counted by what was seen, and a pool that gets or loses its slots is news") {
  SlotTable slots(4);
  CHECK(!slots.count());
  put(slots, 1, "127.0.0.1:1", 1, 2);
  put(slots, 2, "127.0.0.1:1", 1, 2);
  CHECK(slots.count());
  CHECK(slots.pool(2).slots == 2);
  slots[1].seen = false;
  CHECK(!slots.count());
  CHECK(slots.pool(2).slots == 1);
  slots[0].seen = false;
  CHECK(slots.count());
  slots.pool(2).no_dynamic = true;
  slots.clear();
  CHECK(slots.size() == 0);
  CHECK(!slots.pool(2).no_dynamic);
  CHECK(slots.find_or_add(2, 1) == 0);
}

TEST_CASE("No more slots are kept than there is room for") {
  SlotTable slots(1);
  for (std::uint32_t i = 0; i < SlotTable::kSlotsMax; ++i) CHECK(slots.find_or_add(0, i) == i);
  CHECK(slots.find_or_add(0, SlotTable::kSlotsMax) == SlotTable::kNone);
  CHECK(slots.find_or_add(0, 5) == 5);
}
