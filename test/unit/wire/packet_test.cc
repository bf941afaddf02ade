#include "wire/packet.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/rng.h"
#include "golden.h"
#include "support/hex.h"
#include "wire/compress.h"
#include "wire/crc32.h"

namespace shoal::wire {
namespace {

using test::from_hex;
using test::to_hex;
using Memory = std::vector<std::uint8_t>;

class Sink final : public MessageSink {
 public:
  void on_message(MessageType type, Bytes body) override {
    Memory message{static_cast<std::uint8_t>(type)};
    message.insert(message.end(), body.begin(), body.end());
    messages.push_back(to_hex(message));
  }
  std::vector<std::string> messages;
};

struct Opened {
  PacketFault fault = PacketFault::kNone;
  std::vector<std::string> messages;
};

Opened open(Bytes datagram, std::size_t inflate_bytes_max = 1024 * 1024) {
  PacketOpener opener(inflate_bytes_max);
  Sink sink;
  Opened out;
  out.fault = opener.open(datagram, sink);
  out.messages = std::move(sink.messages);
  return out;
}
Opened open(std::string_view hex) {
  const Memory bytes = from_hex(hex);
  return open(Bytes(bytes));
}

using Messages = std::vector<std::string>;

Memory compressed(Bytes message) {
  Memory out(message.size() * 2 + 100);
  out.resize(encode_compressed(message, out));
  return out;
}

Memory sealed(const std::vector<Memory>& messages, bool compress, bool with_crc) {
  PacketSealer sealer(compress);
  sealer.begin();
  for (const Memory& message : messages) REQUIRE(sealer.add(message));
  Memory out(kDatagramBytesMax);
  out.resize(sealer.finish(with_crc, out));
  return out;
}

TEST_CASE("a bare message, a CRC, a compound and a compressed message are opened") {
  CHECK(open(golden("G01")).messages == Messages{std::string(golden("G01"))});
  CHECK(open(golden("G20")).messages == Messages{std::string(golden("G01"))});
  CHECK(open(golden("G20")).fault == PacketFault::kNone);
  CHECK(open(golden("G17")).messages == Messages{std::string(golden("G02")), "080102"});
  CHECK(open(golden("G17")).fault == PacketFault::kNone);
  CHECK(open(golden("G19")).messages == Messages{std::string(golden("G02"))});
  CHECK(open("08").messages == Messages{"08"});
}

TEST_CASE("datagrams are sealed as Go seals them") {
  const Memory ping = from_hex(golden("G01"));
  CHECK(to_hex(sealed({ping}, false, false)) == golden("G01"));
  CHECK(to_hex(sealed({ping}, false, true)) == golden("G20"));
  CHECK(to_hex(sealed({from_hex(golden("G02")), {8, 1, 2}}, false, false)) == golden("G17"));
  CHECK(to_hex(compressed(from_hex(golden("G02")))) == golden("G19"));
}

TEST_CASE("compression is used only when it makes the datagram smaller") {
  CHECK(to_hex(sealed({from_hex(golden("G02"))}, true, false)) == golden("G02"));
  const Memory long_message(300, 8);
  const Memory small = sealed({long_message}, true, false);
  CHECK(small.size() < 60);
  CHECK(small[0] == 9);
  CHECK(open(Bytes(small)).messages == Messages{to_hex(long_message)});
}

TEST_CASE("every combination of steps comes back as it went in") {
  std::vector<Memory> messages;
  for (int i = 0; i < 30; ++i) messages.push_back(from_hex(golden(i % 2 == 0 ? "G09" : "G11")));
  Messages expected;
  for (const Memory& message : messages) expected.push_back(to_hex(message));
  for (const bool compress : {false, true}) {
    for (const bool with_crc : {false, true}) {
      const Memory datagram = sealed(messages, compress, with_crc);
      CHECK(datagram[0] == (with_crc ? 12 : compress ? 9 : 7));
      const Opened opened = open(Bytes(datagram));
      CHECK(opened.fault == PacketFault::kNone);
      CHECK(opened.messages == expected);
    }
  }
}

TEST_CASE("a flipped bit under a CRC is noticed; a CRC is never required") {
  Memory datagram = from_hex(golden("G20"));
  for (std::size_t bit = 8; bit < datagram.size() * 8; ++bit) {
    datagram[bit / 8] = static_cast<std::uint8_t>(datagram[bit / 8] ^ 1U << bit % 8);
    const Opened opened = open(Bytes(datagram));
    CHECK(opened.fault == PacketFault::kBadCrc);
    CHECK(opened.messages.empty());
    datagram[bit / 8] = static_cast<std::uint8_t>(datagram[bit / 8] ^ 1U << bit % 8);
  }
  CHECK(open("0c00000000").fault == PacketFault::kEmpty);
  CHECK(open("0c000000").fault == PacketFault::kUnsupported);
}

TEST_CASE("what may not stand in a datagram is refused and the parts around it are delivered") {
  const Messages around{"0b80", "0881"};
  CHECK(open("").fault == PacketFault::kEmpty);
  for (const char* type : {"06", "0a", "0c", "0d", "f4", "0e", "ff"}) {
    CAPTURE(type);
    const PacketFault outermost = type == std::string_view("f4") ? PacketFault::kBadLabel : PacketFault::kUnsupported;
    CHECK(open(type).fault == outermost);
    CHECK(open(std::string(type) + "80").fault == outermost);
    const Opened opened = open("0703 0002 0002 0002 0b80" + std::string(type) + "80 0881");
    CHECK(opened.fault == PacketFault::kUnsupported);
    CHECK(opened.messages == around);
  }
  const Opened empty = open("0703 0002 0000 0002 0b80 0881");
  CHECK(empty.fault == PacketFault::kEmptyPart);
  CHECK(empty.messages == around);
  const Opened broken = open("0703 0002 0003 0002 0b80 098001 0881");
  CHECK(broken.fault == PacketFault::kBadCompress);  // No data is not even an empty LZW stream.
  CHECK(broken.messages == around);
}

TEST_CASE("a compound that is cut short gives the parts that are whole") {
  const Memory whole = from_hex("0703 0002 0003 0002 0b80 080102 0881 ffff");
  CHECK(open(Bytes(whole)).messages == Messages{"0b80", "080102", "0881"});
  CHECK(open(Bytes(whole)).fault == PacketFault::kNone);  // Bytes behind the last part are ignored.
  for (std::size_t size = 1; size < 15; ++size) {
    CAPTURE(size);
    const Opened opened = open(Bytes(whole).first(size));
    CHECK(opened.fault == PacketFault::kTruncatedCompound);
    CHECK(opened.messages.size() == (size < 10 ? 0 : size < 13 ? 1 : 2));
  }
  CHECK(open("0700").fault == PacketFault::kNone);
}

TEST_CASE("255 parts are read, 127 written") {
  Memory datagram{7, 255};
  for (int i = 0; i < 255; ++i) datagram.insert(datagram.end(), {0, 2});
  for (int i = 0; i < 255; ++i) datagram.insert(datagram.end(), {8, static_cast<std::uint8_t>(i)});
  const Opened opened = open(Bytes(datagram));
  CHECK(opened.fault == PacketFault::kNone);
  REQUIRE(opened.messages.size() == 255);
  CHECK(opened.messages[254] == "08fe");

  PacketSealer sealer(false);
  const Memory tiny{8, 1};
  for (int round = 0; round < 2; ++round) {
    sealer.begin();
    for (std::size_t i = 0; i < kCompoundPartsMax; ++i) REQUIRE(sealer.add(tiny));
    CHECK_FALSE(sealer.add(tiny));
    CHECK(sealer.parts() == kCompoundPartsMax);
    CHECK(sealer.plain_size() == 2 + 127 * 4);
    Memory out(2 + 127 * 4);
    CHECK(sealer.finish(false, out) == out.size());
    CHECK(open(Bytes(out)).messages.size() == 127);
    Memory short_by_one(out.size() - 1);
    CHECK(sealer.finish(false, short_by_one) == 0);
  }
}

TEST_CASE("a datagram never grows past what UDP carries") {
  PacketSealer sealer(false);
  sealer.begin();
  Memory out(kDatagramBytesMax);
  CHECK(sealer.finish(true, out) == 0);  // Nothing was added.
  const Memory largest(kDatagramBytesMax - kCrcHeaderBytes, 8);
  REQUIRE(sealer.add(largest));
  CHECK(sealer.plain_size() == largest.size());
  const Memory one{8};
  CHECK_FALSE(sealer.add(one));
  CHECK(sealer.plain_size() == largest.size());
  CHECK(sealer.finish(true, out) == kDatagramBytesMax);
  CHECK(open(Bytes(out)).messages.size() == 1);
  sealer.begin();
  const Memory too_large(largest.size() + 1, 8);
  CHECK_FALSE(sealer.add(too_large));
  // The second part brings the compound header for both.
  const Memory nearly(largest.size() - 6 - 1, 8);
  REQUIRE(sealer.add(nearly));
  const Memory two{8, 8};
  CHECK_FALSE(sealer.add(two));
  REQUIRE(sealer.add(one));
  CHECK(sealer.plain_size() == largest.size());
}

TEST_CASE("the same messages can be sealed for two peers") {
  PacketSealer sealer(true);
  sealer.begin();
  const Memory message(200, 8);
  REQUIRE(sealer.add(message));
  REQUIRE(sealer.add(message));
  Memory plain(1500), with_crc(1500);
  plain.resize(sealer.finish(false, plain));
  with_crc.resize(sealer.finish(true, with_crc));
  CHECK(with_crc.size() == plain.size() + kCrcHeaderBytes);
  CHECK(std::equal(plain.begin(), plain.end(), with_crc.begin() + kCrcHeaderBytes));
}

TEST_CASE("nesting is followed to depth 8 and not beyond") {
  for (const bool compress : {false, true}) {
    Memory message{8, 1};
    for (int depth = 1; depth <= 10; ++depth) {
      if (compress) {
        message = compressed(message);
      } else {
        Memory outer{7, 1, 0, static_cast<std::uint8_t>(message.size())};
        outer.insert(outer.end(), message.begin(), message.end());
        message = outer;
      }
      CAPTURE(depth);
      const Opened opened = open(Bytes(message));
      CHECK(opened.fault == (depth <= PacketOpener::kDepthMax ? PacketFault::kNone : PacketFault::kTooDeep));
      CHECK(opened.messages.size() == (depth <= PacketOpener::kDepthMax ? 1 : 0));
    }
  }
}

TEST_CASE("one datagram has as many messages as one compound holds, however they are nested") {
  Memory inner{7, 200};
  for (int i = 0; i < 200; ++i) inner.insert(inner.end(), {0, 1});
  inner.insert(inner.end(), 200, 8);
  Memory datagram{7, 3};
  for (int i = 0; i < 3; ++i) {
    datagram.insert(datagram.end(),
                    {static_cast<std::uint8_t>(inner.size() >> 8), static_cast<std::uint8_t>(inner.size())});
  }
  for (int i = 0; i < 3; ++i) datagram.insert(datagram.end(), inner.begin(), inner.end());
  for (const Memory& form : {datagram, compressed(datagram)}) {
    const Opened opened = open(Bytes(form));
    CHECK(opened.fault == PacketFault::kTooMany);
    CHECK(opened.messages.size() == PacketOpener::kMessagesMax);
  }
  PacketOpener opener;  // The next datagram has its own.
  Sink sink;
  CHECK(opener.open(inner, sink) == PacketFault::kNone);
  CHECK(opener.open(inner, sink) == PacketFault::kNone);
}

TEST_CASE("what one datagram may unpack to is bounded, all parts together") {
  const Memory message(1'000, 8);
  const Memory small = compressed(message);
  Memory datagram{7, 3};
  for (int i = 0; i < 3; ++i) datagram.insert(datagram.end(), {0, static_cast<std::uint8_t>(small.size())});
  for (int i = 0; i < 3; ++i) datagram.insert(datagram.end(), small.begin(), small.end());
  CHECK(open(Bytes(datagram), 3'000).fault == PacketFault::kNone);
  const Opened opened = open(Bytes(datagram), 2'999);
  CHECK(opened.fault == PacketFault::kBadCompress);
  CHECK(opened.messages.size() == 2);
  // The next datagram has the whole room again.
  PacketOpener opener(3'000);
  Sink sink;
  CHECK(opener.open(datagram, sink) == PacketFault::kNone);
  CHECK(opener.open(datagram, sink) == PacketFault::kNone);
  CHECK(sink.messages.size() == 6);
}

TEST_CASE("an unknown algorithm, broken data and nothing at all are bad compression") {
  CHECK(open("0982a4416c676f01a342756640").fault == PacketFault::kBadCompress);
  CHECK(open("0982a4416c676f01a3427566a400c30404").fault == PacketFault::kBadCompress);
  CHECK(open("0982a4416c676f00a3427566a300c304").fault == PacketFault::kBadCompress);
  CHECK(open("0982a4416c676f00a3427566a3000302").fault == PacketFault::kEmptyPart);
  CHECK(open("09").fault == PacketFault::kBadCompress);
  CHECK(open("0982a4416c676f00a3427566a400c30404").fault == PacketFault::kUnsupported);  // "a" is type 97.
}

TEST_CASE("damaged datagrams do no harm") {
  std::vector<Memory> messages;
  for (int i = 0; i < 10; ++i) messages.push_back(from_hex(golden(i % 2 == 0 ? "G09" : "G03")));
  Rng rng(7);
  for (const bool compress : {false, true}) {
    const Memory datagram = sealed(messages, compress, false);
    for (int round = 0; round < 2'000; ++round) {
      Memory damaged = datagram;
      for (int i = 0; i < 3; ++i) damaged[rng.below(damaged.size())] = static_cast<std::uint8_t>(rng.next());
      damaged.resize(1 + rng.below(damaged.size()));
      (void)open(Bytes(damaged), 5'000);
    }
  }
}

TEST_CASE("every fault has its own name") {
  std::vector<std::string_view> names;
  for (std::uint8_t i = 0; i < static_cast<std::uint8_t>(PacketFault::kCount); ++i) {
    const std::string_view name = to_text(static_cast<PacketFault>(i));
    CHECK(!name.empty());
    for (const std::string_view other : names) CHECK(name != other);
    names.push_back(name);
  }
}

}  // namespace
}  // namespace shoal::wire
