// Encrypted and labelled gossip by datagram: what goes out, what is let in, and a key that is exchanged under way.
#include <doctest/doctest.h>

#include <algorithm>

#include "support/lone_core.h"
#include "swim/core.h"

namespace shoal::swim {
namespace {

using test::encoded;
using test::Lines;
using test::LoneCore;
using test::Memory;
using test::only;
using test::peer;
using test::Secrets;

constexpr std::string_view kOld = "0123456789abcdef";
constexpr std::string_view kNew = "fedcba9876543210fedcba98";
constexpr std::string_view kForeign = "ffffffffffffffffffffffffffffffff";
const std::string kLongLabel(wire::kLabelBytesMax, 'l');

Options secret(std::initializer_list<std::string_view> keys, std::string_view label = {}) {
  Options out = LoneCore::options();
  for (const std::string_view key : keys) {
    FixedBytes<wire::kAeadKeyBytesMax> bytes;
    REQUIRE(bytes.assign(as_bytes(key)));
    out.keys.push_back(bytes);
  }
  out.nonce_seed = {1, 2, 3};
  REQUIRE(out.label.assign(label));
  return out;
}

bool contains(Bytes bytes, std::string_view text) { return as_text(bytes).find(text) != std::string_view::npos; }

wire::PacketFault fault_for(Bytes datagram, Secrets& reader) { return test::opened(datagram, reader.security()).fault; }

// ---- What goes out

TEST_CASE("with a key every kind of datagram is sealed: who has the key reads all, nobody else a word") {
  LoneCore me(secret({kOld}));
  me.know("a-name-to-look-for", 2);
  me.know("c", 3);
  me.hear(me.secrets.packet(test::suspect(1, "a-name-to-look-for", "x")));
  const Endpoint target = peer(2);
  me.hear(me.secrets.packet(encoded(wire::IndirectPing{5, target.addr.raw(), 7946, "a-name-to-look-for", true})));
  me.command([&](Outbox& out) { me.core.send_user(me.now, peer(3), as_bytes("a-name-to-look-for"), out); });
  me.ask();
  me.run_for(3s);
  Secrets foreign({kForeign}), plain;
  Lines kinds;
  for (const test::SentPacket& packet : me.sent) {
    CHECK(fault_for(packet.bytes, me.secrets) == wire::PacketFault::kNone);
    CHECK(fault_for(packet.bytes, foreign) == wire::PacketFault::kBadKey);
    CHECK(packet.bytes[0] == 1);  // The version without padding.
    CHECK_FALSE(contains(packet.bytes, "a-name-to-look-for"));
    for (const std::string& part : packet.parts) kinds.push_back(test::word(part, 0));
  }
  for (const std::string_view kind : {"ping", "indirect", "ack", "nack", "suspect", "user"}) {
    CAPTURE(kind);
    CHECK_FALSE(only(kinds, kind).empty());
  }
}

TEST_CASE("no two datagrams have the same nonce") {
  LoneCore me(secret({kOld}));
  me.know("b", 2);
  for (int i = 0; i < 50; ++i) me.hear(me.secrets.packet(encoded(wire::Ping{7, "me"})));
  std::vector<Memory> nonces;
  for (const test::SentPacket& packet : me.sent) {
    nonces.emplace_back(packet.bytes.begin() + 1, packet.bytes.begin() + 1 + wire::kNonceBytes);
  }
  REQUIRE(nonces.size() == 50);
  std::sort(nonces.begin(), nonces.end());
  CHECK(std::adjacent_find(nonces.begin(), nonces.end()) == nonces.end());
}

TEST_CASE("with a label it stands in front of every datagram, sealed or not, and counts for who may read it") {
  for (const bool sealed : {false, true}) {
    CAPTURE(sealed);
    LoneCore me(sealed ? secret({kOld}, "blue") : secret({}, "blue"));
    me.know("b", 2);
    me.ask();
    REQUIRE(me.sent.size() == 1);
    const Memory& bytes = me.sent[0].bytes;
    CHECK(test::to_hex(bytes).substr(0, 12) == "f404626c7565");
    CHECK(me.sent[0].parts == Lines{"ack 77"});
    if (!sealed) continue;
    // The label is authenticated: put another one in front, and nobody of that one can read it.
    Secrets green({kOld}, "grey");
    Memory other = bytes;
    std::copy_n("grey", 4, other.begin() + 2);
    CHECK(fault_for(other, green) == wire::PacketFault::kBadKey);
  }
}

TEST_CASE("seal and label come off what may be gossiped, and no datagram gets larger by them") {
  for (const std::string& label : {std::string(), std::string("blue"), kLongLabel}) {
    for (const bool sealed : {false, true}) {
      CAPTURE(label.size());
      CAPTURE(sealed);
      const std::size_t around = (label.empty() ? 0 : 2 + label.size()) + (sealed ? 29 : 0);
      Options options = sealed ? secret({kOld}, label) : secret({}, label);
      options.members_max = 512;
      LoneCore me(options);
      me.know("b", 2);
      me.budgets.clear();
      me.ask();
      const std::size_t ack = encoded(wire::Ack{77, {}}).size();
      REQUIRE(me.budgets.size() == 1);
      CHECK(me.budgets[0].first == 1400 - ack - 2 - around);
      CHECK(me.budgets[0].second == 3);
      // The upper layer uses it to the last byte.
      me.ride_along = Memory(me.budgets[0].first - 2, 8);
      me.sent.clear();
      CHECK(me.ask().size() == 1);
      CHECK(me.sent.back().bytes.size() == 1402);
      me.ride_along.clear();

      for (int i = 0; i < 300; ++i) {
        me.hear(me.secrets.packet(
            test::alive({1, "n" + std::to_string(i), peer(static_cast<std::uint8_t>(i % 250 + 2)), "some meta"})));
      }
      me.budgets.clear();
      me.sent.clear();
      me.run_for(3s);
      me.ask();
      std::size_t most = 0, told = 0;
      for (const test::SentPacket& packet : me.sent) {
        CHECK(packet.bytes.size() <= 1405);
        CHECK(fault_for(packet.bytes, me.secrets) == wire::PacketFault::kNone);
        most = std::max(most, packet.bytes.size());
        told += only(packet.parts, "alive").size();
      }
      CHECK(most > 1300);
      CHECK(told > 300);
      me.run_for(20s);
      CHECK(me.ask().empty());
      me.budgets.clear();
      me.run_for(200ms);
      for (const auto& [budget, overhead] : me.budgets) CHECK(budget <= 1398 - around);
    }
  }
}

TEST_CASE("the largest direct message goes out under seal and the longest label, and one byte more does not") {
  for (const bool sealed : {false, true}) {
    LoneCore me(sealed ? secret({kNew}, kLongLabel) : secret({}, kLongLabel));
    me.quiet();
    const std::size_t around = 2 + 255 + (sealed ? 29 : 0);
    me.command([&](Outbox& out) { me.core.send_user(me.now, peer(3), Memory(1399, 5), out); });
    REQUIRE(me.sent.size() == 1);
    CHECK(me.sent[0].bytes.size() == 1400 + around);
    CHECK(me.sent[0].parts == Lines{"user " + test::to_hex(Memory(1399, 5))});
    me.command([&](Outbox& out) { me.core.send_user(me.now, peer(3), Memory(1400, 5), out); });
    CHECK(me.sent.size() == 1);
  }
}

TEST_CASE("a suspect's notice fits with names of 255 bytes, key and label") {
  Options options = secret({kOld}, kLongLabel);
  const std::string own(kNameBytesMax, 'm');
  REQUIRE(options.name.assign(own));
  LoneCore me(options);
  const std::string name(kNameBytesMax, 'b');
  me.know(name, 2);
  me.hear(me.secrets.packet(test::suspect(1, name, "x")));
  me.quiet();
  const test::SentPacket probe = me.run_until_sent("ping");
  REQUIRE(probe.parts.size() == 2);
  CHECK(probe.parts[1] == "suspect 1 " + name + " from " + own);
  CHECK(probe.bytes.size() <= Outbox::kPacketBytesMax);
}

// ---- What is let in

TEST_CASE("a foreign datagram is counted by what is foreign about it, told with its sender, and not used") {
  const Memory news = test::alive({1, "x", peer(7)});
  Secrets plain, old({kOld}), foreign({kForeign}), both({kForeign, kOld}), blue({kOld}, "blue"), plain_blue({}, "blue"),
      grey({kOld}, "grey"), foreign_blue({kForeign}, "blue");
  const Memory of_blue = blue.packet(news);
  const Memory twice = test::joined({Bytes(of_blue).first(6), of_blue});
  Memory relabelled = grey.packet(news);
  std::copy_n("blue", 4, relabelled.begin() + 2);
  struct {
    const char* what;
    Options options;
    Memory datagram;
    Refusal why;
  } const rows[] = {
      {"plain to us who encrypt", secret({kOld}), plain.packet(news), Refusal::kNotEncrypted},
      {"plain with CRC", secret({kOld}), plain.packet(news, true), Refusal::kNotEncrypted},
      {"another key", secret({kOld}), foreign.packet(news), Refusal::kBadKey},
      {"another first key, though ours is in their ring", secret({kOld}), both.packet(news), Refusal::kBadKey},
      {"a label, and we have none", secret({kOld}), of_blue, Refusal::kBadLabel},
      {"a label, and we have neither", secret({}), plain_blue.packet(news), Refusal::kBadLabel},
      {"no label", secret({kOld}, "blue"), old.packet(news), Refusal::kBadLabel},
      {"no label, nor a key", secret({}, "blue"), plain.packet(news), Refusal::kBadLabel},
      {"another label", secret({kOld}, "blue"), grey.packet(news), Refusal::kBadLabel},
      {"a label that begins as ours does", secret({kOld}, "blu"), of_blue, Refusal::kBadLabel},
      {"a label that ours begins with", secret({kOld}, "blues"), of_blue, Refusal::kBadLabel},
      {"our label twice", secret({kOld}, "blue"), twice, Refusal::kBadLabel},
      {"our label in front of another's seal", secret({kOld}, "blue"), relabelled, Refusal::kBadKey},
      {"our label, another key", secret({kOld}, "blue"), foreign_blue.packet(news), Refusal::kBadKey},
      {"our label, no seal", secret({kOld}, "blue"), plain_blue.packet(news), Refusal::kNotEncrypted},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    LoneCore me(row.options);
    me.quiet();
    me.hear(row.datagram, peer(9));
    CHECK(me.state("x") == "unknown");
    CHECK(me.refused(row.why) == 1);
    CHECK(me.news == Lines{"foreign 10.0.0.9:7946 " + std::string(to_text(row.why))});
    me.hear(me.secrets.packet(news), peer(9));  // The same, as it has to be.
    CHECK(me.state("x") == "alive");
  }
}

TEST_CASE("an encrypted datagram says nothing to us who have no key, and does no harm") {
  LoneCore me;
  me.quiet();
  Secrets old({kOld});
  for (int i = 0; i < 200; ++i) me.hear(old.packet(test::alive({1, "x", peer(7)})));
  CHECK(me.state("x") == "unknown");
  CHECK(me.state("me") == "alive");
  CHECK(me.sent.empty());
}

TEST_CASE("a sealed datagram with any bit of it changed is not used") {
  LoneCore me(secret({kOld}, "blue"));
  me.quiet();
  const Memory good = me.secrets.packet(test::alive({1, "x", peer(7)}));
  for (std::size_t i = 0; i < good.size(); ++i) {
    Memory bad = good;
    bad[i] ^= static_cast<std::uint8_t>(1U << (i % 8));
    me.hear(bad);
  }
  for (std::size_t size = 0; size < good.size(); ++size) me.hear(Bytes(good).first(size));
  CHECK(me.state("x") == "unknown");
  me.hear(good);
  CHECK(me.state("x") == "alive");
}

TEST_CASE("what a Go node seals is read, padded or not, under a label too") {
  struct {
    const char* what;
    const char* label;
    const char* hex;
  } const rows[] = {
      {"version 1", "", "01000102030405060708090a0bfdbd605371105e978a83547fb1d5df2c22c1111a26b89176890e4dea354e2634"},
      {"version 1, labelled", "lbl",
       "f4036c626c01000102030405060708090a0bfdbd605371105e978a83547fb1d5df2cfbb4bd8007b5e442d55ba42a7499d745"},
      {"version 0", "",
       "00000102030405060708090a0bfdbd605371105e978a83547fb1d5df2c10c747ea17a35a5b6779fae3ffbbbb7c1c776da76374f2c0c6bf2"
       "a"
       "5283bb5732"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    Options options = secret({kForeign, kOld}, row.label);  // Not the first key of the ring.
    REQUIRE(options.name.assign("b"));
    LoneCore me(options);
    me.quiet();
    me.hear(test::from_hex(row.hex));
    REQUIRE(me.sent.size() == 1);
    CHECK(me.sent[0].parts == Lines{"ack 1"});
  }
}

// ---- A key is exchanged

TEST_CASE("through install, use and remove each valid key is heard at all times, and we write with the one in use") {
  LoneCore me(secret({kOld}));
  me.quiet();
  Secrets old({kOld}), fresh({kNew});
  std::uint32_t n = 0;
  const auto hears = [&](Secrets& from) {
    const std::string name = "n" + std::to_string(++n);
    me.hear(from.packet(test::alive({1, name, peer(7)})));
    return me.state(name) == "alive";
  };
  const auto writes_for = [&](Secrets& reader) {
    me.sent.clear();
    me.hear((hears(old) ? old : fresh).packet(encoded(wire::Ping{77, "me"})));
    REQUIRE(me.sent.size() == 1);
    return fault_for(me.sent[0].bytes, reader) == wire::PacketFault::kNone;
  };
  wire::Keyring& ring = me.core.keyring();
  CHECK(hears(old));
  CHECK_FALSE(hears(fresh));
  CHECK(writes_for(old));

  REQUIRE(ring.add(as_bytes(kNew)) == wire::KeyResult::kOk);
  CHECK(hears(old));
  CHECK(hears(fresh));
  CHECK(writes_for(old));

  REQUIRE(ring.use(as_bytes(kNew)) == wire::KeyResult::kOk);
  CHECK(hears(old));
  CHECK(hears(fresh));
  CHECK(writes_for(fresh));
  CHECK_FALSE(writes_for(old));

  REQUIRE(ring.remove(as_bytes(kOld)) == wire::KeyResult::kOk);
  CHECK_FALSE(hears(old));
  CHECK(hears(fresh));
  CHECK(writes_for(fresh));
}

TEST_CASE("news that waits while the key changes goes out under the new one") {
  LoneCore me(secret({kOld}));
  me.know("b", 2);
  me.hear(me.secrets.packet(test::suspect(1, "b", "x")));
  REQUIRE(me.core.keyring().add(as_bytes(kNew)) == wire::KeyResult::kOk);
  REQUIRE(me.core.keyring().use(as_bytes(kNew)) == wire::KeyResult::kOk);
  me.sent.clear();
  me.run_for(200ms);
  REQUIRE_FALSE(me.sent.empty());
  Secrets fresh({kNew});
  CHECK(test::opened(me.sent[0].bytes, fresh.security()).parts == Lines{"suspect 1 b from x"});
}

}  // namespace
}  // namespace shoal::swim
