// What Go peers let pass, we let pass: every golden message in odd clothes.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "golden.h"
#include "recode.h"
#include "support/hex.h"
#include "wire/msgpack.h"

namespace shoal::wire {
namespace {

using test::from_hex;
using test::to_hex;
using Memory = std::vector<std::uint8_t>;

// One field of a message, as it stands.
struct Pair {
  Memory key;
  Memory value;
};

struct Taken {
  std::uint8_t type = 0;
  std::vector<Pair> pairs;
  Memory rest;  // Behind the map.
};

// A golden message that is one map behind its type byte.
struct Subject {
  std::string_view id;
  bool serf;
  Memory bytes;
};

std::vector<Subject> subjects() {
  std::vector<Subject> out;
  for (const Golden& vector : kGolden) {
    const std::string_view id = vector.id;
    const bool ml = (id >= "G01" && id <= "G06") || (id >= "G08" && id <= "G13b" && id != "G13c");
    const bool serf = id.starts_with("G14") || id == "G15" || id == "G16" || id.starts_with("G18") ||
                      id.starts_with("G35") || id == "G36a" || id == "G36b" || id == "G37";
    if (ml || serf) out.push_back({id, serf, from_hex(vector.hex)});
  }
  return out;
}

std::string recoded(const Subject& subject, const Memory& bytes) {
  const auto out = subject.serf ? recode_serf(bytes) : recode(bytes);
  return out ? to_hex(*out) : "refused";
}

Taken take_apart(const Memory& bytes) {
  Taken out;
  out.type = bytes[0];
  msgpack::Reader in(Bytes(bytes).subspan(1));
  const std::uint32_t count = in.read_map();
  const auto copy = [](Bytes object) { return Memory(object.begin(), object.end()); };
  for (std::uint32_t i = 0; i < count; ++i) {
    Pair pair;
    pair.key = copy(in.skip());
    pair.value = copy(in.skip());
    out.pairs.push_back(std::move(pair));
  }
  REQUIRE(in.ok());
  out.rest = copy(in.rest());
  return out;
}

enum class MapForm { kFix, k16, k32 };

Memory put_together(const Taken& taken, MapForm form = MapForm::kFix) {
  const auto count = static_cast<std::uint8_t>(taken.pairs.size());
  Memory out{taken.type};
  switch (form) {
    case MapForm::kFix: out.push_back(static_cast<std::uint8_t>(0x80 | count)); break;
    case MapForm::k16: out.insert(out.end(), {0xde, 0, count}); break;
    case MapForm::k32: out.insert(out.end(), {0xdf, 0, 0, 0, count}); break;
  }
  for (const Pair& pair : taken.pairs) {
    out.insert(out.end(), pair.key.begin(), pair.key.end());
    out.insert(out.end(), pair.value.begin(), pair.value.end());
  }
  out.insert(out.end(), taken.rest.begin(), taken.rest.end());
  return out;
}

TEST_CASE("an unknown key of any type is skipped, in front and behind, and so are bytes behind the object") {
  std::vector<Memory> values;
  for (const char* hex : {"00", "c0", "c3", "ff", "cf0000000000000001", "d3ffffffffffffffff", "ca3f800000",
                          "cb3ff0000000000000", "a16e", "d9016e", "da00016e", "c4016e", "93c09081a16e01",
                          "82a16ec0a16dd40101", "c70201aabb", "d80100000000000000000000000000000000"}) {
    values.push_back(from_hex(hex));
  }
  Memory deep(5'000, 0x91);
  deep.push_back(0x80);
  values.push_back(deep);
  for (const Subject& subject : subjects()) {
    CAPTURE(subject.id);
    const std::string expected = recoded(subject, subject.bytes);
    REQUIRE(expected != "refused");
    const Taken taken = take_apart(subject.bytes);
    for (const Memory& value : values) {
      CAPTURE(to_hex(value).substr(0, 40));
      Taken longer = taken;
      longer.pairs.push_back({from_hex("a75a7a7a5a7a7a7a"), value});
      Memory bytes = put_together(longer);
      const bool relay = taken.rest.size() > 0;  // Behind a relay's header stands its message.
      if (!relay) bytes.insert(bytes.end(), {0xc1, 0x00});
      CHECK(recoded(subject, bytes) == expected);
      std::swap(longer.pairs.front(), longer.pairs.back());
      CHECK(recoded(subject, put_together(longer)) == expected);
    }
  }
}

TEST_CASE("keys may come in any order and under longer map headers") {
  for (const Subject& subject : subjects()) {
    CAPTURE(subject.id);
    const std::string expected = recoded(subject, subject.bytes);
    Taken taken = take_apart(subject.bytes);
    CHECK(recoded(subject, put_together(taken, MapForm::k16)) == expected);
    CHECK(recoded(subject, put_together(taken, MapForm::k32)) == expected);
    std::reverse(taken.pairs.begin(), taken.pairs.end());
    CHECK(recoded(subject, put_together(taken)) == expected);
  }
}

TEST_CASE("of two equal keys the last counts; a missing field and nil are zero") {
  for (const Subject& subject : subjects()) {
    CAPTURE(subject.id);
    const std::string expected = recoded(subject, subject.bytes);
    const Taken taken = take_apart(subject.bytes);
    for (std::size_t i = 0; i < taken.pairs.size(); ++i) {
      CAPTURE(i);
      Taken doubled = taken;
      doubled.pairs.insert(doubled.pairs.begin(), {taken.pairs[i].key, {0xc0}});
      CHECK(recoded(subject, put_together(doubled)) == expected);
      Taken missing = taken;
      missing.pairs.erase(missing.pairs.begin() + static_cast<std::ptrdiff_t>(i));
      Taken nil = taken;
      nil.pairs[i].value = {0xc0};
      CHECK(recoded(subject, put_together(missing)) == recoded(subject, put_together(nil)));
      const bool vsn = as_text(taken.pairs[i].key).substr(1) == "Vsn";  // Read, but never written again without.
      CHECK((recoded(subject, put_together(nil)) == "refused") == vsn);
    }
  }
}

TEST_CASE("a key that is no text is refused, and so is a field of the wrong type") {
  for (const Subject& subject : subjects()) {
    CAPTURE(subject.id);
    const Taken taken = take_apart(subject.bytes);
    for (const char* key : {"01", "c0", "90", "80", "c3", "d40101"}) {
      Taken wrong = taken;
      wrong.pairs.back().key = from_hex(key);
      CHECK(recoded(subject, put_together(wrong)) == "refused");
    }
    for (std::size_t i = 0; i < taken.pairs.size(); ++i) {
      Taken wrong = taken;
      wrong.pairs[i].value = from_hex("cb3ff0000000000000");
      CHECK(recoded(subject, put_together(wrong)) == "refused");
      wrong.pairs[i].value = from_hex("d3ffffffffffffff80");  // Below zero: only Go's signed fields may be.
      const std::string_view name = as_text(taken.pairs[i].key).substr(1);
      CHECK((recoded(subject, put_together(wrong)) == "refused") != (name == "Timeout" || name == "Status"));
    }
  }
}

TEST_CASE("nil for the whole object is all zero") {
  for (const Subject& subject : subjects()) {
    if (subject.id == "G09" || subject.id == "G10" || subject.id.starts_with("G18")) continue;
    CAPTURE(subject.id);
    const Memory nil{subject.bytes[0], 0xc0};
    const Memory none{subject.bytes[0], 0x80};
    CHECK(recoded(subject, nil) != "refused");
    // A member that is nil is no member.
    CHECK((recoded(subject, nil) == recoded(subject, none)) == (subject.id != "G37"));
    CHECK(recoded(subject, Memory{subject.bytes[0]}) == "refused");
  }
}

TEST_CASE("a struct as a list, in the order of Go's declarations, whole, short or long") {
  Memory held;  // What is decoded borrows from it.
  const auto hold = [&](std::string_view hex) {
    held = from_hex(hex);
    return Bytes(held);
  };
  Ping ping;
  REQUIRE(decode(hold("95 05 a162 a47f000001 cd1f0a a161"), ping));
  CHECK(ping.seq_no == 5);
  CHECK(ping.node == "b");
  CHECK(to_hex(ping.source_addr) == "7f000001");
  CHECK(ping.source_port == 7946);
  CHECK(ping.source_node == "a");
  REQUIRE(decode(hold("92 05 a162"), ping));
  CHECK(ping.seq_no == 5);
  CHECK(ping.source_port == 0);
  REQUIRE(decode(hold("97 05 a162 c0 c0 c0 81a16101 90"), ping));
  CHECK(ping.node == "b");
  REQUIRE(decode(hold("90"), ping));
  CHECK(ping.node.empty());
  CHECK_FALSE(decode(hold("92 05"), ping));

  Alive alive;
  REQUIRE(decode(hold("dc0006 07 a16e 940a000001 cd1f0a a2ff80 96010502020504"), alive));
  CHECK(alive.incarnation == 7);
  CHECK(to_hex(alive.addr) == "0a000001");
  CHECK(to_hex(alive.meta) == "ff80");
  CHECK(to_hex(alive.vsn) == "010502020504");

  Query query;
  REQUIRE(decode(hold("9b 04 01 a47f000001 cd1f0a a16e c0 02 03 d300000000bebc2000 a171 a170"), query));
  CHECK(query.ltime == 4);
  CHECK(query.id == 1);
  CHECK(query.source_node == "n");
  CHECK(query.flags == 2);
  CHECK(query.relay_factor == 3);
  CHECK(query.timeout_ns == 3'200'000'000);
  CHECK(query.name == "q");
  CHECK(as_text(query.payload) == "p");
}

TEST_CASE("an array of numbers that cannot be borrowed as bytes is refused, not misread") {
  Alive alive;
  CHECK_FALSE(decode(from_hex("81a441646472940acc800001"), alive));
  CHECK_FALSE(decode(from_hex("81a44164647294 0a ff 00 01"), alive));
}

}  // namespace
}  // namespace shoal::wire
