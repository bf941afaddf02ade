// Streams under encryption and a label.
#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <vector>

#include "golden.h"
#include "security.h"
#include "support/hex.h"
#include "wire/stream.h"

namespace shoal::wire {
namespace {

using test::from_hex;
using test::to_hex;
using Memory = std::vector<std::uint8_t>;

// A whole push/pull of so many nodes.
Memory push_pull(std::size_t nodes) {
  Memory memory(nodes * 200 + 100);
  ByteWriter out(memory);
  encode(out, PushPullHeader{.join = true, .nodes = static_cast<std::uint32_t>(nodes), .user_state_len = 5});
  const Memory addr = from_hex("0a000001");
  const Memory vsn = from_hex("010502020504");
  for (std::size_t i = 0; i < nodes; ++i) {
    const std::string name = "node-" + std::to_string(i);
    encode(out, NodeState{.name = name, .addr = addr, .port = static_cast<std::uint16_t>(i), .vsn = vsn});
  }
  out.put(std::string_view("state"));
  REQUIRE(out.ok());
  memory.resize(out.size());
  return memory;
}

Memory sealed(Bytes message, bool compress, const Security& security, StreamSide writer = StreamSide::kInitiator) {
  Memory out(message.size() * 2 + 400);
  out.resize(seal_stream(message, compress, out, security, writer));
  return out;
}

StreamStatus read(Memory bytes, const Security& security, StreamSide writer = StreamSide::kInitiator) {
  static Memory scratch(256 * 1024);
  StreamReader reader(scratch, security, writer);
  return reader.advance_in_place(bytes);
}

// `plain` in a frame, as it is.
Memory framed(Bytes plain, TestSecurity& security) {
  Memory out(kStreamFrameHeaderBytes + kSealOverheadBytes + plain.size());
  ByteWriter header(out);
  header.u8(10);
  header.u32(static_cast<std::uint32_t>(kSealOverheadBytes + plain.size()));
  std::copy(plain.begin(), plain.end(), out.begin() + kStreamFrameHeaderBytes + kSealFrontBytes);
  Memory aad(out.begin(), out.begin() + kStreamFrameHeaderBytes);
  aad.insert(aad.end(), security.label.begin(), security.label.end());
  seal(security.ring.primary(), security.nonces, aad, MutableBytes(out).subspan(kStreamFrameHeaderBytes));
  return out;
}

TEST_CASE("G29 is read, with a decoy key in front too") {
  const std::string key = to_hex(as_bytes("0123456789abcdef"));
  for (const bool decoy : {false, true}) {
    TestSecurity security({});
    if (decoy) security.add(kKeyC);
    security.add(key);
    Memory bytes = from_hex(golden("G29"));
    StreamReader reader({}, security);
    REQUIRE(reader.advance_in_place(bytes) == StreamStatus::kComplete);
    CHECK(reader.type() == MessageType::kPing);
    CHECK("00" + to_hex(reader.body()) == golden("G01"));
  }
}

TEST_CASE("a push/pull that trickles in byte by byte, encrypted and compressed, is decrypted once") {
  TestSecurity writer({kKeyB}, "lbl"), reader_security({kKeyA, kKeyC, kKeyB}, "lbl");
  const Memory message = push_pull(1'000);
  for (const bool compress : {false, true}) {
    for (const StreamSide side : {StreamSide::kInitiator, StreamSide::kAcceptor}) {
      Memory bytes = sealed(message, compress, writer, side);
      const bool labelled = side == StreamSide::kInitiator;
      CHECK(bytes[0] == (labelled ? 0xf4 : 0x0a));
      CHECK(bytes[labelled ? 5 : 0] == 0x0a);
      Memory scratch(message.size());
      StreamReader reader(scratch, reader_security, side);
      const auto begin = std::chrono::steady_clock::now();
      for (std::size_t size = 0; size < bytes.size(); ++size) {
        const StreamStatus status = reader.advance_in_place(MutableBytes(bytes).first(size));
        if (status != StreamStatus::kIncomplete) FAIL("too early at ", size);
      }
      REQUIRE(reader.advance_in_place(bytes) == StreamStatus::kComplete);
      CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
      CHECK(reader.advance_in_place(bytes) == StreamStatus::kComplete);
      CHECK(reader.header().nodes == 1'000);
      CHECK(as_text(reader.user_state()) == "state");
      std::size_t nodes = 0;
      reader.for_each_node([&](const NodeState& node) { nodes += node.port == nodes ? 1 : 0; });
      CHECK(nodes == 1'000);
    }
  }
}

TEST_CASE("sealing costs what stream_overhead says, and not a byte less is enough") {
  const Memory message = push_pull(3);
  for (const bool keys : {false, true}) {
    for (const std::string& label : {std::string(), std::string("lbl"), std::string(255, 'l')}) {
      TestSecurity security({}, label);
      if (keys) security.add(kKeyA);
      for (const StreamSide side : {StreamSide::kInitiator, StreamSide::kAcceptor}) {
        const bool header = side == StreamSide::kInitiator && !label.empty();
        CHECK(stream_overhead(security, side) == (keys ? 34U : 0U) + (header ? 2 + label.size() : 0U));
        for (const bool compress : {false, true}) {
          const std::size_t plain = sealed(message, compress, {}, side).size();
          const Memory bytes = sealed(message, compress, security, side);
          CHECK(bytes.size() == plain + stream_overhead(security, side));
          CHECK(read(bytes, security, side) == StreamStatus::kComplete);
          Memory tight(bytes.size() - 1);
          CHECK(seal_stream(message, compress, tight, security, side) == 0);
          Memory exact(bytes.size() + (compress ? 17 : 0));  // Room for the longest compress header.
          CHECK(seal_stream(message, compress, exact, security, side) == bytes.size());
        }
        for (std::size_t size = 0; size <= stream_overhead(security, side); ++size) {
          Memory tiny(size);
          CHECK(seal_stream(message, false, tiny, security, side) == 0);
        }
      }
    }
  }
}

TEST_CASE("each side is told whether the other encrypts") {
  TestSecurity with({kKeyA}), without({}), other({kKeyB});
  const Memory ping = from_hex(golden("G01"));
  CHECK(read(sealed(ping, false, with), without) == StreamStatus::kEncrypted);
  CHECK(read(sealed(ping, true, without), with) == StreamStatus::kNotEncrypted);
  CHECK(read(from_hex("00"), with) == StreamStatus::kNotEncrypted);
  CHECK(read(sealed(ping, true, with), other) == StreamStatus::kBadKey);
  CHECK(read(sealed(ping, true, with), with) == StreamStatus::kComplete);
  // The key that was in use when the stream began may have been removed since, and a new one may have come.
  REQUIRE(other.ring.add(from_hex(kKeyA)) == KeyResult::kOk);
  CHECK(read(sealed(ping, true, with), other) == StreamStatus::kComplete);
  // An Err is sealed like anything else.
  const Memory err = from_hex(golden("G08"));
  CHECK(read(sealed(err, true, with, StreamSide::kAcceptor), with, StreamSide::kAcceptor) == StreamStatus::kComplete);
}

TEST_CASE("a flipped bit anywhere is refused") {
  TestSecurity security({kKeyC, kKeyA}, "lbl");
  const Memory bytes = sealed(push_pull(2), true, security);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    CAPTURE(bit);
    Memory damaged = bytes;
    damaged[bit / 8] = static_cast<std::uint8_t>(damaged[bit / 8] ^ 1U << bit % 8);
    const StreamStatus status = read(damaged, security);
    const std::size_t at = bit / 8;
    if (at < 5) {
      CHECK(status == StreamStatus::kBadLabel);
    } else if (at == 5) {
      CHECK(status == StreamStatus::kNotEncrypted);
    } else if (at < 10) {
      CHECK((status == StreamStatus::kTooLarge || status == StreamStatus::kIncomplete ||
             status == StreamStatus::kBadKey));
    } else if (bit == 10 * 8) {
      CHECK(status == StreamStatus::kMalformed);  // The version is not authenticated: the last byte reads as padding.
    } else {
      CHECK(status == StreamStatus::kBadKey);
    }
  }
}

TEST_CASE("a frame that is too large is refused before it is read, one too short to be a seal too") {
  TestSecurity security({kKeyA});
  CHECK(read(from_hex("0a01400000"), security) == StreamStatus::kIncomplete);
  CHECK(read(from_hex("0a01400001"), security) == StreamStatus::kTooLarge);
  CHECK(read(from_hex("0affffffff"), security) == StreamStatus::kTooLarge);
  CHECK(read(from_hex("0a0000001c"), security) == StreamStatus::kBadKey);
  CHECK(read(from_hex("0a00000000"), security) == StreamStatus::kBadKey);
  CHECK(read(from_hex("0a0000001d"), security) == StreamStatus::kIncomplete);
  CHECK(read(from_hex("0a000000"), security) == StreamStatus::kIncomplete);
  Memory bytes = from_hex("0a00001001");
  StreamReader reader({}, security, StreamSide::kInitiator, 4096);
  CHECK(reader.advance_in_place(bytes) == StreamStatus::kTooLarge);
}

TEST_CASE("the label must be ours, once, in front of what the initiator writes only") {
  const Memory ping = from_hex(golden("G01"));
  for (const bool keys : {false, true}) {
    TestSecurity lbl({}, "lbl"), lbm({}, "lbm"), none({});
    if (keys) {
      for (TestSecurity* security : {&lbl, &lbm, &none}) security->add(kKeyA);
    }
    const Memory labelled = sealed(ping, false, lbl);
    CHECK(to_hex(Bytes(labelled).first(5)) == "f4036c626c");
    CHECK(read(labelled, lbl) == StreamStatus::kComplete);
    CHECK(read(labelled, lbm) == StreamStatus::kBadLabel);
    CHECK(read(labelled, none) == StreamStatus::kBadLabel);
    CHECK(read(sealed(ping, false, none), lbl) == StreamStatus::kBadLabel);
    Memory twice = labelled;
    twice.insert(twice.begin(), labelled.begin(), labelled.begin() + 5);
    CHECK(read(twice, lbl) == StreamStatus::kBadLabel);
    for (std::size_t size = 1; size < labelled.size(); ++size) {
      CHECK(read(Memory(labelled.begin(), labelled.begin() + static_cast<std::ptrdiff_t>(size)), lbl) ==
            StreamStatus::kIncomplete);
    }
    const Memory answer = sealed(ping, false, lbl, StreamSide::kAcceptor);
    CHECK(answer[0] == (keys ? 0x0a : 0x00));
    CHECK(read(answer, lbl, StreamSide::kAcceptor) == StreamStatus::kComplete);
    CHECK(read(answer, lbl) == StreamStatus::kBadLabel);
    CHECK(read(labelled, lbl, StreamSide::kAcceptor) == StreamStatus::kBadLabel);
    // The answer's label is authenticated all the same.
    CHECK(read(answer, none, StreamSide::kAcceptor) == (keys ? StreamStatus::kBadKey : StreamStatus::kComplete));
    CHECK(read(answer, lbm, StreamSide::kAcceptor) == (keys ? StreamStatus::kBadKey : StreamStatus::kComplete));
  }
}

TEST_CASE("what is under the encryption is judged as it is without") {
  TestSecurity security({kKeyA}, "");
  CHECK(read(framed(from_hex("0080"), security), security) == StreamStatus::kComplete);
  CHECK(read(framed(from_hex("0083"), security), security) == StreamStatus::kMalformed);  // Cut short inside.
  CHECK(read(framed(from_hex("0a0000"), security), security) == StreamStatus::kMalformed);
  CHECK(read(framed(from_hex("0982a4416c676f01a3427566a400c30404"), security), security) == StreamStatus::kBadCompress);
  Memory padding = framed(Memory(16, 16), security);  // Authentic, and nothing in it.
  padding[kStreamFrameHeaderBytes] = 0;
  CHECK(read(padding, security) == StreamStatus::kMalformed);
  padding = framed(Memory(16, 2), security);
  padding[kStreamFrameHeaderBytes] = 0;
  CHECK(read(padding, security) == StreamStatus::kComplete);  // Fourteen bytes of 2: an ack of nothing.
  padding = framed(Memory(16, 0), security);
  padding[kStreamFrameHeaderBytes] = 0;
  CHECK(read(padding, security) == StreamStatus::kBadKey);
  Memory behind = framed(from_hex("0080"), security);
  behind.push_back(7);
  CHECK(read(behind, security) == StreamStatus::kComplete);
}

TEST_CASE("an acceptor owes an Err for what it cannot open, and has words for it") {
  for (const StreamStatus status :
       {StreamStatus::kEncrypted, StreamStatus::kNotEncrypted, StreamStatus::kBadKey, StreamStatus::kBadCompress}) {
    CHECK(owes_err(status));
    CHECK(!to_text(status).empty());
  }
  for (const StreamStatus status : {StreamStatus::kIncomplete, StreamStatus::kComplete, StreamStatus::kMalformed,
                                    StreamStatus::kTooLarge, StreamStatus::kBadLabel}) {
    CHECK_FALSE(owes_err(status));
  }
  CHECK(to_text(StreamStatus::kComplete).empty());
}

}  // namespace
}  // namespace shoal::wire
