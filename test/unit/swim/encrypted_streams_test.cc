// Encrypted and labelled streams, both ways: what is written, what is refused and how it is answered, and keys that
// change while a stream is open.
#include <doctest/doctest.h>

#include "support/lone_core.h"
#include "swim/core.h"

namespace shoal::swim {
namespace {

using test::encoded;
using test::Lines;
using test::LoneCore;
using test::Memory;
using test::peer;
using test::Secrets;
using wire::StreamSide;

constexpr std::string_view kOld = "0123456789abcdef";
constexpr std::string_view kNew = "fedcba9876543210fedcba98";
constexpr std::string_view kForeign = "ffffffffffffffffffffffffffffffff";

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

StreamId push_pull_to(LoneCore& me, const Endpoint& to) {
  me.command([&](Outbox& out) { me.core.push_pull(me.now, to, true, out); });
  return me.streams.rbegin()->first;
}

/// What we wrote, as a peer with these secrets reads it.
Lines read_by(Secrets& peer, const LoneCore& me, StreamId id, StreamSide writer) {
  return test::stream_lines(me.streams.at(id).written, peer.security(), writer);
}

Memory state_with_b() { return test::push_pull({{"b", peer(2), 0, 3}}, false); }

TEST_CASE("an accepted exchange is answered under seal, with the label counted in but never in front") {
  for (const std::string_view label : {"", "blue"}) {
    CAPTURE(label);
    LoneCore me(secret({kOld}, label));
    me.quiet();
    const StreamId id = me.accept();
    me.stream_in(id, me.secrets.stream(state_with_b()));
    CHECK(me.state("b") == "alive");
    CHECK(me.streams[id].said == Lines{"write", "finish"});
    CHECK(me.streams[id].written.at(0) == 0x0a);
    CHECK(read_by(me.secrets, me, id, StreamSide::kAcceptor).at(0) == "push-pull sync nodes 1 state 0");
    Secrets grey({kOld}, "grey"), foreign({kForeign}, label);
    CHECK(read_by(grey, me, id, StreamSide::kAcceptor) == Lines{"no installed key could decrypt the message"});
    CHECK(read_by(foreign, me, id, StreamSide::kAcceptor) == Lines{"no installed key could decrypt the message"});
  }
}

TEST_CASE("with a label and no key the label stands in front of what we begin, and not of what we answer") {
  LoneCore me(secret({}, "blue"));
  me.quiet();
  const StreamId accepted = me.accept();
  me.stream_in(accepted, me.secrets.stream(state_with_b()));
  CHECK(me.streams[accepted].written.at(0) == 6);
  CHECK(me.state("b") == "alive");
  const StreamId own = push_pull_to(me, peer(2));
  me.connected(own);
  CHECK(test::to_hex(me.streams[own].written).substr(0, 14) == "f404626c756506");
}

TEST_CASE("what we begin is labelled and sealed: push/pull, ping and user message; the answer has no label") {
  LoneCore me(secret({kOld}, "blue"));
  me.know("b", 2);
  // Push/pull.
  const StreamId own = push_pull_to(me, peer(2));
  me.connected(own);
  CHECK(test::to_hex(me.streams[own].written).substr(0, 14) == "f404626c75650a");
  CHECK(read_by(me.secrets, me, own, StreamSide::kInitiator).at(0) == "push-pull join nodes 2 state 0");
  me.stream_in(own, me.secrets.stream(test::push_pull({{"c", peer(3), 0, 3}}, false), StreamSide::kAcceptor));
  CHECK(me.state("c") == "alive");
  CHECK(me.news.back() == "joined 10.0.0.2:7946");
  // A user message.
  StreamId user = 0;
  me.command([&](Outbox& out) { CHECK(me.core.send_user_by_stream(me.now, peer(2), as_bytes("u"), out)); });
  user = me.streams.rbegin()->first;
  me.connected(user);
  CHECK(test::to_hex(me.streams[user].written).substr(0, 14) == "f404626c75650a");
  CHECK(read_by(me.secrets, me, user, StreamSide::kInitiator) == Lines{"user 75"});
  // A ping, when datagrams get lost.
  const auto probe = me.run_until_sent("ping");
  const std::uint32_t seq_no = test::number(probe.parts[0], 1);
  me.run_for(500ms);
  StreamId ping = 0;
  for (const auto& [id, trace] : me.streams) {
    if (id != own && id != user && trace.to == probe.to) ping = id;
  }
  REQUIRE(ping != 0);
  me.connected(ping);
  CHECK(test::to_hex(me.streams[ping].written).substr(0, 14) == "f404626c75650a");
  CHECK(read_by(me.secrets, me, ping, StreamSide::kInitiator).at(0).starts_with("ping " + std::to_string(seq_no)));
  me.news.clear();
  me.stream_in(ping, me.secrets.stream(encoded(wire::Ack{seq_no, {}}), StreamSide::kAcceptor));
  me.run_for(500ms);
  CHECK(test::only(me.news, "blocked").size() == 1);
}

TEST_CASE("a ping and a user message that come under seal are heard, the ping is answered under seal") {
  LoneCore me(secret({kOld}, "blue"));
  me.quiet();
  CHECK(me.exchange(me.secrets.stream(encoded(wire::Ping{5, "me"}))) == Lines{"ack 5"});
  const StreamId id = me.accept();
  me.stream_in(id, me.secrets.stream(test::joined({encoded(wire::UserHeader{1}), as_bytes("u")})));
  CHECK(me.news == Lines{"user-by-stream 75"});
}

TEST_CASE("with compression the seal is around the compressed message, both ways") {
  Options options = secret({kOld}, "blue");
  options.compress = true;
  LoneCore me(options), other(options);
  for (std::uint8_t host = 10; host < 40; ++host) me.know("a-name-like-others-" + std::to_string(host), host);
  const StreamId out = push_pull_to(other, peer(1));
  other.connected(out);
  const StreamId in = me.accept();
  me.stream_in(in, other.streams[out].written);
  other.stream_in(out, me.streams[in].written);
  CHECK(other.state("a-name-like-others-39") == "alive");
  CHECK(other.core.members().size() == 31);
}

TEST_CASE("foreign streams are counted and told; a peer that has sent something to open gets an Err by our settings") {
  const Memory state = test::push_pull({{"x", peer(7)}});
  Secrets plain, old({kOld}), foreign({kForeign}), blue({kOld}, "blue"), plain_blue({}, "blue"), grey({kOld}, "grey"),
      foreign_blue({kForeign}, "blue");
  constexpr std::string_view kNotSealed = "err encryption is configured but remote state is not encrypted";
  constexpr std::string_view kNoKey = "err no installed key could decrypt the message";
  constexpr std::string_view kSealed = "err remote state is encrypted and encryption is not configured";
  struct {
    const char* what;
    Options options;
    Memory stream;
    Refusal why;
    std::string_view answer;  // "" = closed without a word.
  } const rows[] = {
      {"plain to us who encrypt", secret({kOld}), plain.stream(state), Refusal::kNotEncrypted, kNotSealed},
      {"another key", secret({kOld}), foreign.stream(state), Refusal::kBadKey, kNoKey},
      {"sealed to us who do not", secret({}), old.stream(state), Refusal::kEncrypted, kSealed},
      {"sealed to us who only have a label", secret({}, "blue"), blue.stream(state), Refusal::kEncrypted, kSealed},
      {"our label, another key", secret({kOld}, "blue"), foreign_blue.stream(state), Refusal::kBadKey, kNoKey},
      {"our label, no seal", secret({kOld}, "blue"), plain_blue.stream(state), Refusal::kNotEncrypted, kNotSealed},
      {"another label", secret({kOld}, "blue"), grey.stream(state), Refusal::kBadLabel, ""},
      {"no label", secret({kOld}, "blue"), old.stream(state), Refusal::kBadLabel, ""},
      {"no label, nor a key", secret({}, "blue"), plain.stream(state), Refusal::kBadLabel, ""},
      {"a label, and we have none", secret({kOld}), blue.stream(state), Refusal::kBadLabel, ""},
      {"a label, and we have neither", secret({}), plain_blue.stream(state), Refusal::kBadLabel, ""},
  };
  for (const bool trickle : {false, true}) {
    for (const auto& row : rows) {
      CAPTURE(row.what);
      CAPTURE(trickle);
      LoneCore me(row.options);
      me.quiet();
      const StreamId id = me.accept(peer(9, 40000));
      if (!trickle) me.stream_in(id, row.stream);
      for (std::size_t i = 0; trickle && i < row.stream.size(); ++i) me.stream_in(id, Bytes(row.stream).subspan(i, 1));
      CHECK(me.state("x") == "unknown");
      CHECK(me.refused(row.why) == 1);
      CHECK(me.news == Lines{"foreign 10.0.0.9:40000 " + std::string(to_text(row.why))});
      if (row.answer.empty()) {
        CHECK(me.streams[id].said == Lines{"close"});
      } else {
        CHECK(me.streams[id].said == Lines{"write", "finish"});
        CHECK(read_by(me.secrets, me, id, StreamSide::kAcceptor) == Lines{std::string(row.answer)});
      }
    }
  }
}

TEST_CASE("a join that meets another key, none, or another label fails in words that say so") {
  const Memory state = test::push_pull({{"x", peer(2)}}, false);
  const Memory err = encoded(wire::Err{"remote state is encrypted and encryption is not configured"});
  Secrets plain, old({kOld}), foreign({kForeign}), grey({kOld}, "grey"), blue({kOld}, "blue");
  constexpr std::string_view kPlain = "the peer does not encrypt its gossip; this node does";
  constexpr std::string_view kKey = "none of this node's gossip keys opens what the peer sends";
  constexpr std::string_view kSealed = "the peer encrypts its gossip; this node has no key";
  struct {
    const char* what;
    Options options;
    Memory answer;
    Refusal why;
    std::string_view text;
  } const rows[] = {
      {"a plain Err of who has no key", secret({kOld}), err, Refusal::kNotEncrypted, kPlain},
      {"a plain state", secret({kOld}), state, Refusal::kNotEncrypted, kPlain},
      {"another key", secret({kOld}), foreign.stream(state, StreamSide::kAcceptor), Refusal::kBadKey, kKey},
      {"another label", secret({kOld}, "blue"), grey.stream(state, StreamSide::kAcceptor), Refusal::kBadKey, kKey},
      {"a sealed state", secret({}), old.stream(state, StreamSide::kAcceptor), Refusal::kEncrypted, kSealed},
      {"our label in front of the answer", secret({kOld}, "blue"), blue.stream(state), Refusal::kBadLabel,
       "the peer's gossip has another label"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    LoneCore me(row.options);
    me.quiet();
    const StreamId id = push_pull_to(me, peer(2));
    me.connected(id);
    me.stream_in(id, row.answer);
    CHECK(me.state("x") == "unknown");
    CHECK(me.streams[id].said == Lines{"connect", "write", "close"});
    CHECK(me.refused(row.why) == 1);
    CHECK(me.news == Lines{"not-joined 10.0.0.2:7946 " + std::string(row.text),
                           "foreign 10.0.0.2:7946 " + std::string(to_text(row.why))});
  }
}

TEST_CASE("an Err that comes under seal fails the join in the peer's words") {
  LoneCore me(secret({kOld}, "blue"));
  me.quiet();
  const StreamId id = push_pull_to(me, peer(2));
  me.connected(id);
  me.stream_in(id, me.secrets.stream(encoded(wire::Err{"not today"}), StreamSide::kAcceptor));
  CHECK(me.news == Lines{"not-joined 10.0.0.2:7946 not today"});
}

TEST_CASE("under the seal a message that is cut off, unknown or empty is closed without a word") {
  const Memory whole = state_with_b();
  Secrets old({kOld});
  const Memory inner[] = {Memory(whole.begin(), whole.end() - 1), {99, 0x80}, {13}, {7, 0}};
  for (const Memory& message : inner) {
    CAPTURE(test::to_hex(message));
    LoneCore me(secret({kOld}));
    me.quiet();
    const StreamId id = me.accept();
    me.stream_in(id, old.stream(message));
    CHECK(me.streams[id].said == Lines{"close"});
    CHECK(me.refused(Refusal::kBadStream) == 1);
    CHECK(me.news.empty());
  }
}

TEST_CASE("a frame that claims more than a state may have is closed at its first five bytes") {
  LoneCore me(secret({kOld}));
  me.quiet();
  const StreamId id = me.accept();
  me.stream_in(id, test::from_hex("0a00"));
  CHECK(me.streams[id].said.empty());
  me.stream_in(id, test::from_hex("ffffff"));
  CHECK(me.streams[id].said == Lines{"close"});
  CHECK(me.refused(Refusal::kBadStream) == 1);
}

// ---- Keys change under way

TEST_CASE("a stream that comes under the old key is read to its end and answered under the one then in use") {
  LoneCore me(secret({kOld}));
  me.quiet();
  Secrets fresh({kNew});
  const Memory bytes = me.secrets.stream(state_with_b());
  const StreamId id = me.accept();
  me.stream_in(id, Bytes(bytes).first(20));
  REQUIRE(me.core.keyring().add(as_bytes(kNew)) == wire::KeyResult::kOk);
  REQUIRE(me.core.keyring().use(as_bytes(kNew)) == wire::KeyResult::kOk);
  me.stream_in(id, Bytes(bytes).subspan(20));
  CHECK(me.state("b") == "alive");
  CHECK(read_by(fresh, me, id, StreamSide::kAcceptor).at(0) == "push-pull sync nodes 1 state 0");
}

TEST_CASE("a key that goes while a stream under it comes in: the peer gets an Err under the new one") {
  LoneCore me(secret({kNew, kOld}));
  me.quiet();
  Secrets old({kOld}), fresh({kNew});
  const Memory bytes = old.stream(state_with_b());
  const StreamId id = me.accept();
  me.stream_in(id, Bytes(bytes).first(20));
  REQUIRE(me.core.keyring().remove(as_bytes(kOld)) == wire::KeyResult::kOk);
  me.stream_in(id, Bytes(bytes).subspan(20));
  CHECK(me.state("b") == "unknown");
  CHECK(me.refused(Refusal::kBadKey) == 1);
  CHECK(read_by(fresh, me, id, StreamSide::kAcceptor) == Lines{"err no installed key could decrypt the message"});
}

TEST_CASE("an answer under either key is read while both are in the ring, whichever we asked under") {
  for (const bool answered_with_new : {false, true}) {
    CAPTURE(answered_with_new);
    LoneCore me(secret({kOld}));
    me.quiet();
    Secrets old({kOld}), fresh({kNew});
    const StreamId id = push_pull_to(me, peer(2));
    me.connected(id);
    CHECK(read_by(old, me, id, StreamSide::kInitiator).at(0) == "push-pull join nodes 1 state 0");
    REQUIRE(me.core.keyring().add(as_bytes(kNew)) == wire::KeyResult::kOk);
    REQUIRE(me.core.keyring().use(as_bytes(kNew)) == wire::KeyResult::kOk);
    me.stream_in(id, (answered_with_new ? fresh : old).stream(state_with_b(), StreamSide::kAcceptor));
    CHECK(me.state("b") == "alive");
  }
}

TEST_CASE("a push/pull that connects after the change goes out under the new key") {
  LoneCore me(secret({kOld}));
  const StreamId id = push_pull_to(me, peer(2));
  REQUIRE(me.core.keyring().add(as_bytes(kNew)) == wire::KeyResult::kOk);
  REQUIRE(me.core.keyring().use(as_bytes(kNew)) == wire::KeyResult::kOk);
  me.connected(id);
  Secrets fresh({kNew});
  CHECK(read_by(fresh, me, id, StreamSide::kInitiator).at(0) == "push-pull join nodes 1 state 0");
}

}  // namespace
}  // namespace shoal::swim
