// Datagrams under encryption and a label.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/rng.h"
#include "golden.h"
#include "security.h"
#include "support/hex.h"
#include "wire/packet.h"

namespace shoal::wire {
namespace {

using test::from_hex;
using test::to_hex;
using Memory = std::vector<std::uint8_t>;
using Messages = std::vector<std::string>;

class Sink final : public MessageSink {
 public:
  void on_message(MessageType type, Bytes body) override {
    Memory message{static_cast<std::uint8_t>(type)};
    message.insert(message.end(), body.begin(), body.end());
    messages.push_back(to_hex(message));
  }
  Messages messages;
};

struct Opened {
  PacketFault fault = PacketFault::kNone;
  Messages messages;
};

Opened open_packet(Bytes datagram, const Security& security) {
  static PacketOpener opener;
  Sink sink;
  const PacketFault fault = opener.open(datagram, sink, security);
  return {fault, sink.messages};
}

Memory sealed(const std::vector<Memory>& messages, bool compress, bool with_crc, const Security& security) {
  PacketSealer sealer(compress);
  sealer.begin(security);
  for (const Memory& message : messages) REQUIRE(sealer.add(message));
  Memory out(kDatagramBytesMax);
  out.resize(sealer.finish(with_crc, out));
  return out;
}

Memory ping() { return from_hex(golden("G01")); }

// `plain` under the primary key as it is, whatever it is.
Memory sealed_raw(Bytes plain, TestSecurity& security) {
  Memory out(kSealOverheadBytes + plain.size());
  std::copy(plain.begin(), plain.end(), out.begin() + kSealFrontBytes);
  seal(security.ring.primary(), security.nonces, as_bytes(security.label), out);
  return out;
}

TEST_CASE("G26 to G28 are opened, with a decoy key in front too") {
  const std::string key = to_hex(as_bytes("0123456789abcdef"));
  for (const bool decoy : {false, true}) {
    TestSecurity plain_label({});
    TestSecurity labelled({}, "lbl");
    for (TestSecurity* security : {&plain_label, &labelled}) {
      if (decoy) security->add(kKeyB);
      security->add(key);
    }
    for (const char* id : {"G26", "G27", "G28"}) {
      CAPTURE(id);
      const bool has_label = id == std::string_view("G27");
      const Memory datagram = from_hex(golden(id));
      const Opened opened = open_packet(datagram, has_label ? labelled : plain_label);
      CHECK(opened.fault == PacketFault::kNone);
      CHECK(opened.messages == Messages{std::string(golden("G01"))});
      CHECK(open_packet(datagram, has_label ? plain_label : labelled).fault == PacketFault::kBadLabel);
    }
  }
}

TEST_CASE("every combination of steps comes back as it went in, and costs what packet_overhead says") {
  std::vector<Memory> messages;
  for (int i = 0; i < 12; ++i) messages.push_back(from_hex(golden(i % 2 == 0 ? "G09" : "G11")));
  Messages expected;
  for (const Memory& message : messages) expected.push_back(to_hex(message));
  for (const auto& keys : {std::vector<std::string>{}, {kKeyA}, {kKeyB, kKeyA}, {kKeyC}}) {
    for (const std::string& label : {std::string(), std::string("x"), std::string(255, 'l')}) {
      TestSecurity security({}, label);
      for (const std::string& key : keys) security.add(key);
      CHECK(packet_overhead(security) == (keys.empty() ? 0U : 29U) + (label.empty() ? 0U : 2 + label.size()));
      for (const bool compress : {false, true}) {
        for (const bool with_crc : {false, true}) {
          const Memory datagram = sealed(messages, compress, with_crc, security);
          const Memory plain = sealed(messages, compress, with_crc, {});
          CHECK(datagram.size() == plain.size() + packet_overhead(security));
          if (!label.empty()) CHECK(datagram[0] == 0xf4);
          const Opened opened = open_packet(datagram, security);
          CHECK(opened.fault == PacketFault::kNone);
          CHECK(opened.messages == expected);
        }
      }
    }
  }
}

TEST_CASE("a flipped bit anywhere is refused and nothing is delivered") {
  TestSecurity security({kKeyB, kKeyA}, "lbl");
  const Memory datagram = sealed({ping()}, false, true, security);
  for (std::size_t bit = 0; bit < datagram.size() * 8; ++bit) {
    CAPTURE(bit);
    Memory damaged = datagram;
    damaged[bit / 8] = static_cast<std::uint8_t>(damaged[bit / 8] ^ 1U << bit % 8);
    const Opened opened = open_packet(damaged, security);
    CHECK(opened.messages.empty());
    if (bit / 8 < 5) {
      CHECK(opened.fault == PacketFault::kBadLabel);
    } else if (bit == 5 * 8) {
      CHECK(opened.fault == PacketFault::kBadCrc);  // The version is not authenticated: the last byte reads as padding.
    } else {
      CHECK(opened.fault == (bit / 8 == 5 ? PacketFault::kNotEncrypted : PacketFault::kBadKey));
    }
  }
  for (std::size_t size = 0; size < datagram.size(); ++size) {
    const Opened opened = open_packet(Bytes(datagram).first(size), security);
    CHECK(opened.fault != PacketFault::kNone);
    CHECK(opened.messages.empty());
  }
}

TEST_CASE("plaintext is refused when there are keys") {
  TestSecurity security({kKeyA});
  for (const char* id : {"G01", "G02", "G03", "G05", "G09", "G17", "G19", "G20"}) {
    CAPTURE(id);
    const Memory datagram = from_hex(golden(id));
    const Opened opened = open_packet(datagram, security);
    // Types 0 and 1 look like versions, when there is enough behind them.
    const bool like = datagram[0] <= 1 && datagram.size() >= 45;
    CHECK(opened.fault == (like ? PacketFault::kBadKey : PacketFault::kNotEncrypted));
    CHECK(opened.messages.empty());
  }
  Keyring empty;
  CHECK(open_packet(ping(), Security{.keyring = &empty}).fault == PacketFault::kNone);
}

TEST_CASE("another key does not open; the old one does as long as it is in the ring") {
  TestSecurity ours({kKeyA}), theirs({kKeyA});
  const Memory b = from_hex(kKeyB), a = from_hex(kKeyA);
  const auto both_ways = [&] {
    const Opened there = open_packet(sealed({ping()}, true, true, ours), theirs);
    const Opened back = open_packet(sealed({ping()}, true, true, theirs), ours);
    CHECK(there.messages.size() == (there.fault == PacketFault::kNone ? 1 : 0));
    return std::pair(there.fault, back.fault);
  };
  const std::pair good(PacketFault::kNone, PacketFault::kNone);
  CHECK(both_ways() == good);
  REQUIRE(ours.ring.add(b) == KeyResult::kOk);
  CHECK(both_ways() == good);
  // Used before it is installed there: our packets are lost, theirs are not.
  REQUIRE(ours.ring.use(b) == KeyResult::kOk);
  CHECK(both_ways() == std::pair(PacketFault::kBadKey, PacketFault::kNone));
  REQUIRE(theirs.ring.add(b) == KeyResult::kOk);
  CHECK(both_ways() == good);
  REQUIRE(theirs.ring.use(b) == KeyResult::kOk);
  CHECK(both_ways() == good);
  const Memory old = sealed({ping()}, false, false, TestSecurity({kKeyA}));
  CHECK(open_packet(old, ours).fault == PacketFault::kNone);
  REQUIRE(ours.ring.remove(a) == KeyResult::kOk);
  CHECK(open_packet(old, ours).fault == PacketFault::kBadKey);
  CHECK(both_ways() == good);
}

TEST_CASE("a label must be ours, once") {
  TestSecurity none({}), lbl({}, "lbl"), other({}, "lbm"), longer({}, "lbl2");
  TestSecurity lbl_keys({kKeyA}, "lbl"), none_keys({kKeyA});
  const Memory from_none = sealed({ping()}, false, false, none);
  const Memory from_lbl = sealed({ping()}, false, false, lbl);
  CHECK(to_hex(from_lbl) == "f4036c626c" + std::string(golden("G01")));
  CHECK(open_packet(from_lbl, lbl).fault == PacketFault::kNone);
  CHECK(open_packet(from_none, none).fault == PacketFault::kNone);
  for (TestSecurity* wrong : {&none, &other, &longer}) {
    CHECK(open_packet(from_lbl, *wrong).fault == PacketFault::kBadLabel);
  }
  for (TestSecurity* wrong : {&lbl, &other, &lbl_keys}) {
    CHECK(open_packet(from_none, *wrong).fault == PacketFault::kBadLabel);
  }
  for (const char* hex : {"f4", "f403", "f4036c62", "f400", "f4006c626c00"}) {
    CHECK(open_packet(from_hex(hex), lbl).fault == PacketFault::kBadLabel);
    CHECK(open_packet(from_hex(hex), none).fault == PacketFault::kBadLabel);
  }
  CHECK(open_packet(from_hex("f4036c626c"), lbl).fault == PacketFault::kEmpty);
  CHECK(open_packet(from_hex("f4036c626cf4036c626c" + std::string(golden("G01"))), lbl).fault ==
        PacketFault::kBadLabel);
  // Under encryption the header could be changed, but the label is authenticated.
  Memory relabelled = sealed({ping()}, false, false, lbl_keys);
  CHECK(open_packet(relabelled, lbl_keys).fault == PacketFault::kNone);
  relabelled[4] = 'm';
  TestSecurity other_keys({kKeyA}, "lbm");
  CHECK(open_packet(relabelled, other_keys).fault == PacketFault::kBadKey);
  relabelled.erase(relabelled.begin(), relabelled.begin() + 5);
  CHECK(open_packet(relabelled, none_keys).fault == PacketFault::kBadKey);
}

TEST_CASE("what is under the encryption is judged as it is without") {
  TestSecurity security({kKeyA});
  CHECK(open_packet(sealed_raw(from_hex("0c0000000008"), security), security).fault == PacketFault::kBadCrc);
  CHECK(open_packet(sealed_raw(from_hex("06"), security), security).fault == PacketFault::kUnsupported);
  CHECK(open_packet(sealed_raw(from_hex("0702"), security), security).fault == PacketFault::kTruncatedCompound);
  CHECK(open_packet(sealed_raw(from_hex("f4036c626c00"), security), security).fault == PacketFault::kUnsupported);
  const Memory twice = sealed_raw(sealed_raw(ping(), security), security);
  CHECK(open_packet(twice, security).messages.size() == 1);  // The inner version byte reads as an indirect ping.
  // Version 0, nothing but padding: an authentic datagram without a byte is not dispatched.
  Memory empty = sealed_raw(Memory(16, 16), security);
  empty[0] = 0;
  CHECK(open_packet(empty, security).fault == PacketFault::kEmpty);
  empty = sealed_raw(Memory(16, 17), security);
  empty[0] = 0;
  CHECK(open_packet(empty, security).fault == PacketFault::kBadPadding);
}

TEST_CASE("encryption and label leave so much less room in a datagram") {
  const std::string label(255, 'l');
  TestSecurity security({kKeyA}, label);
  PacketSealer sealer(false);
  sealer.begin(security);
  Memory largest(kDatagramBytesMax - kCrcHeaderBytes - packet_overhead(security), 8);
  const Memory too_large(largest.size() + 1, 8);
  CHECK_FALSE(sealer.add(too_large));
  REQUIRE(sealer.add(largest));
  Memory out(kDatagramBytesMax);
  CHECK(sealer.finish(true, out) == kDatagramBytesMax);
  CHECK(open_packet(out, security).messages.size() == 1);
  Memory short_by_one(kDatagramBytesMax - 1);
  CHECK(sealer.finish(true, short_by_one) == 0);
  for (std::size_t size = 0; size <= packet_overhead(security); ++size) {
    Memory tiny(size);
    CHECK(sealer.finish(false, tiny) == 0);
  }
  sealer.begin();  // Forgets them.
  REQUIRE(sealer.add(too_large));
}

TEST_CASE("a full gossip packet stays within what an outbox has for one") {
  TestSecurity security({kKeyA}, std::string(64, 'l'));
  PacketSealer sealer(false);
  sealer.begin(security);
  const std::size_t budget = kPacketBudget - kCompoundHeaderBytes - packet_overhead(security);
  const Memory message(100, 8);
  std::size_t used = 0;
  while (used + message.size() + kCompoundPartBytes <= budget) {
    REQUIRE(sealer.add(message));
    used += message.size() + kCompoundPartBytes;
  }
  Memory out(1'600);
  const std::size_t size = sealer.finish(true, out);
  CHECK(size > kPacketBudget - 110);
  CHECK(size <= kPacketBudget + kCrcHeaderBytes);
}

TEST_CASE("the same messages sealed for two peers have two nonces") {
  TestSecurity security({kKeyA});
  PacketSealer sealer(false);
  sealer.begin(security);
  REQUIRE(sealer.add(ping()));
  Memory one(100), two(100);
  one.resize(sealer.finish(false, one));
  two.resize(sealer.finish(false, two));
  CHECK(one.size() == two.size());
  CHECK(to_hex(Bytes(one).first(13)) != to_hex(Bytes(two).first(13)));
  CHECK(open_packet(one, security).messages == open_packet(two, security).messages);
}

TEST_CASE("noise does no harm") {
  TestSecurity security({kKeyA, kKeyB}, "lbl");
  Rng rng(11);
  for (int round = 0; round < 2'000; ++round) {
    Memory noise(rng.below(std::uint64_t{200}));
    for (std::uint8_t& byte : noise) byte = static_cast<std::uint8_t>(rng.next());
    if (round % 2 == 0) noise.insert(noise.begin(), {0xf4, 3, 'l', 'b', 'l', static_cast<std::uint8_t>(round % 3)});
    const Opened opened = open_packet(noise, security);
    CHECK(opened.fault != PacketFault::kNone);
    CHECK(opened.messages.empty());
  }
}

}  // namespace
}  // namespace shoal::wire
