#include "rpc/session.h"

#include "requests.h"

namespace shoal::rpc {
namespace {

struct Client {
  explicit Client(std::string_view key = "") : session(key) {}

  Session session;
  Instant now = Instant{} + 1h;

  /// What the session hands to the owner after these bytes.
  const Request* send(const Memory& bytes) {
    session.on_bytes(bytes);
    return session.next();
  }
  Answers take() { return Answers(session.take_output()); }
  void shake() {
    REQUIRE(send(handshake()) == nullptr);
    REQUIRE(take().error(0).empty());
  }
};

Memory with_text(std::string_view command, std::uint64_t seq, std::string_view field, std::string_view text) {
  return request(command, seq, 1, [=](ByteWriter& out) { msgpack::put_text(out, field, text); });
}

TEST_CASE("the handshake comes first; a wrong version may be followed by the right one") {
  Client client;
  CHECK(client.send(handshake(1, 2)) == nullptr);
  CHECK(client.take().error(1) == "Unsupported IPC version");
  CHECK_FALSE(client.session.is_welcome());
  CHECK(client.send(handshake(2)) == nullptr);
  CHECK(client.take().error(2).empty());
  CHECK(client.session.is_welcome());
  CHECK(client.send(handshake(3)) == nullptr);
  CHECK(client.take().error(3) == "Handshake already performed");
  CHECK_FALSE(client.session.wants_close());
  REQUIRE(client.send(request("members", 4)) != nullptr);

  Client rude;
  CHECK(rude.send(request("members", 1)) == nullptr);
  CHECK(rude.take().error(1) == "Handshake required");
  CHECK(rude.session.wants_close());
  CHECK_FALSE(rude.session.wants_bytes());
}

TEST_CASE("where there is a key nothing is served without it, and guessing ends") {
  Client client("secret");
  client.shake();
  CHECK_FALSE(client.session.is_welcome());
  CHECK(client.send(with_text("event", 1, "Name", "x")) == nullptr);
  CHECK(client.take().error(1) == "Authentication required");
  CHECK(client.send(auth(2, "secreT")) == nullptr);
  CHECK(client.take().error(2) == "Invalid authentication token");
  CHECK(client.send(auth(3, "secretsecret")) == nullptr);
  CHECK(client.take().error(3) == "Invalid authentication token");
  CHECK(client.send(auth(4, "secret")) == nullptr);
  CHECK(client.take().error(4).empty());
  CHECK(client.send(request("stats", 5)) != nullptr);

  Client guesser("secret");
  guesser.shake();
  for (std::uint64_t i = 1; i <= 3; ++i) {
    CHECK_FALSE(guesser.session.wants_close());
    CHECK(guesser.send(auth(i, "")) == nullptr);
  }
  CHECK(guesser.session.wants_close());

  Client open;
  open.shake();
  CHECK(open.send(auth(1, "")) == nullptr);
  CHECK(open.take().error(1) == "Invalid authentication token");
  CHECK(open.session.is_welcome());
}

TEST_CASE("requests are served in their order, one at a time, however they are cut") {
  Memory all = handshake(0);
  for (std::uint64_t seq = 1; seq <= 3; ++seq) {
    const Memory next = with_text("get-coordinate", seq, "Node", "n" + std::to_string(seq));
    all.insert(all.end(), next.begin(), next.end());
  }
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, all.size()}) {
    CAPTURE(step);
    Client client;
    std::uint64_t served = 0;
    for (std::size_t at = 0; at < all.size(); at += step) {
      client.session.on_bytes(Bytes(all).subspan(at, std::min(step, all.size() - at)));
      while (const Request* request = client.session.is_answering() ? nullptr : client.session.next()) {
        CHECK(request->seq == ++served);
        CHECK(request->node == "n" + std::to_string(served));
        CHECK(client.session.next() == nullptr);  // Not before the answer.
        client.session.answer("");
      }
    }
    CHECK(served == 3);
    Answers answers = client.take();
    for (std::uint64_t seq = 0; seq <= 3; ++seq) CHECK(answers.error(seq).empty());
    CHECK(answers.at_end());
  }
}

TEST_CASE("an unknown command and what is no request end the connection, the first with a word") {
  Client client;
  client.shake();
  CHECK(client.send(request("fly", 9)) == nullptr);
  CHECK(client.take().error(9) == "Unsupported command");
  CHECK(client.session.wants_close());

  Client garbage;
  garbage.shake();
  CHECK(garbage.send({0xc1, 0xff, 0x00}) == nullptr);
  CHECK(garbage.session.output().empty());
  CHECK(garbage.session.wants_close());

  // Of one whose body is wrong the header was good; nothing is served, and nothing waits.
  Client half;
  half.shake();
  const Memory body = request("event", 4, 1, [](ByteWriter& out) { msgpack::put_uint(out, "Name", 5); });
  CHECK(half.send(body) == nullptr);
  CHECK(half.session.wants_close());
  CHECK_FALSE(half.session.is_answering());

  Client endless;
  endless.shake();
  CHECK(endless.send({0xdf, 0xff, 0xff, 0xff, 0xff}) == nullptr);
  CHECK(endless.session.wants_close());
}

TEST_CASE("an answer with a body has it beside an error too") {
  Client client;
  client.shake();
  REQUIRE(client.send(request("list-keys", 3)) != nullptr);
  client.session.answer("1/2 nodes reported failure",
                        [](Memory& out) { append(out, 16, [](ByteWriter& writer) { msgpack::put_map(writer, 0); }); });
  Answers answers = client.take();
  CHECK(answers.error(3) == "1/2 nodes reported failure");
  CHECK(answers.in().read_map() == 0);
  CHECK(answers.at_end());
}

TEST_CASE("a stream tells what it was asked for, after its answer, until it is stopped") {
  Client client;
  client.shake();
  CHECK(client.send(stream(5, "user:deploy,member-join")) == nullptr);
  client.session.on_user_event(8, "deploy", as_bytes("v1"), true);
  client.session.on_user_event(9, "other", {}, false);
  Member member;
  member.name = "web-1";
  member.address = IpAddress::v4(10, 0, 0, 1);
  client.session.on_member(EventKind::kMemberJoin, member);
  client.session.on_member(EventKind::kMemberFailed, member);
  Answers answers = client.take();
  CHECK(answers.error(5).empty());
  CHECK(answers.error(5).empty());
  const Bytes event = answers.in().skip();
  CHECK(as_text(event).find("deploy") != std::string_view::npos);
  CHECK(answers.error(5).empty());
  CHECK(as_text(answers.in().skip()).find("member-join") != std::string_view::npos);
  CHECK(answers.at_end());

  CHECK(client.send(stream(5, "*")) == nullptr);
  CHECK(client.take().error(5) == "Stream with given sequence exists");
  CHECK(client.send(stream(6, "nonsense")) == nullptr);
  CHECK(client.take().error(6) == "Invalid event filter");
  const Memory stop = request("stop", 7, 1, [](ByteWriter& out) { msgpack::put_uint(out, "Stop", 5); });
  CHECK(client.send(stop) == nullptr);
  CHECK(client.take().error(7).empty());
  client.session.on_user_event(10, "deploy", {}, false);
  CHECK(client.session.output().empty());
}

TEST_CASE("another's query is known by a number until its deadline") {
  Client client;
  client.shake();
  REQUIRE(client.send(stream(1, "query")) == nullptr);
  REQUIRE(client.send(stream(2, "query:uptime")) == nullptr);
  static_cast<void>(client.session.take_output());
  client.session.on_query(client.now, 77, client.now + 5s, 3, "uptime", as_bytes("q"));
  Answers answers = client.take();
  for (const std::uint64_t seq : {1, 2}) {  // To both streams, by the same number.
    CHECK(answers.error(seq).empty());
    msgpack::Reader record(answers.in().skip());
    REQUIRE(record.read_map() == 5);
    record.skip();
    record.skip();
    CHECK(record.read_key() == "ID");
    CHECK(record.read_uint<std::uint64_t>() == 1);
  }
  CHECK(client.session.find_query(client.now, 1) == 77);
  CHECK(client.session.find_query(client.now + 6s, 1) == 0);
  CHECK(client.session.find_query(client.now, 2) == 0);
  // The oldest gives way when there are many.
  for (std::uint64_t i = 0; i < Session::kPendingQueriesMax; ++i) {
    client.session.on_query(client.now, 100 + i, client.now + 5s, 3, "uptime", {});
  }
  CHECK(client.session.find_query(client.now, 1) == 0);
  CHECK(client.session.find_query(client.now, 2) == 100);
}

TEST_CASE("an own query's records end with `done` at the deadline") {
  Client client;
  client.shake();
  REQUIRE(client.send(with_text("query", 4, "Name", "uptime")) != nullptr);
  client.session.answer_query(55, client.now + 3s);
  CHECK(client.session.next_deadline() == client.now + 3s);
  CHECK(client.session.on_response(55, true, "b", {}));
  CHECK(client.session.on_response(55, false, "b", as_bytes("1 day")));
  CHECK_FALSE(client.session.on_response(56, false, "b", {}));
  client.session.on_deadline(client.now + 2s);
  client.session.on_deadline(client.now + 3s);
  CHECK_FALSE(client.session.on_response(55, false, "c", as_bytes("late")));
  CHECK(client.session.next_deadline() == kNever);
  Answers answers = client.take();
  CHECK(answers.error(4).empty());
  for (const char* type : {"ack", "response", "done"}) {
    CAPTURE(type);
    CHECK(answers.error(4).empty());
    msgpack::Reader record(answers.in().skip());
    REQUIRE(record.read_map() == 3);
    CHECK(record.read_key() == "From");
    CHECK(record.read_text() == (type == std::string_view("done") ? "" : "b"));
    record.skip();
    record.skip();
    CHECK(record.read_key() == "Type");
    CHECK(record.read_text() == type);
  }
  CHECK(answers.at_end());
  for (std::uint64_t i = 0; i <= Session::kQueriesMax; ++i) {
    const Request* request = client.send(with_text("query", 10 + i, "Name", "uptime"));
    CHECK((request != nullptr) == (i < Session::kQueriesMax));
    if (request != nullptr) client.session.answer_query(100 + i, client.now + 3s);
  }
}

TEST_CASE("a monitor hears its level and above, once") {
  Client client;
  client.shake();
  CHECK(client.send(with_text("monitor", 1, "LogLevel", "loud")) == nullptr);
  CHECK(client.take().error(1) == "Unknown log level: LOUD");
  CHECK(client.send(with_text("monitor", 2, "LogLevel", "warn")) == nullptr);
  CHECK(client.take().error(2).empty());
  CHECK(client.session.take_new_monitor());
  CHECK_FALSE(client.session.take_new_monitor());
  CHECK(client.send(with_text("monitor", 3, "LogLevel", "warn")) == nullptr);
  CHECK(client.take().error(3) == "Monitor already exists");
  client.session.on_log(MonitorLevel::kInfo, "quiet");
  client.session.on_log(MonitorLevel::kErr, "loud");
  Answers answers = client.take();
  CHECK(answers.error(2).empty());
  CHECK(as_text(answers.in().skip()).find("loud") != std::string_view::npos);
  CHECK(answers.at_end());
}

TEST_CASE("a client that does not read loses records and nothing else; `done` still comes") {
  Client client;
  client.shake();
  REQUIRE(client.send(with_text("query", 1, "Name", "uptime")) != nullptr);
  client.session.answer_query(55, client.now + 1s);
  REQUIRE(client.send(stream(2, "*")) == nullptr);
  const Memory payload(500);
  while (client.session.dropped() == 0) client.session.on_user_event(1, "e", payload, false);
  const std::size_t full = client.session.output().size();
  CHECK(full < Session::kRecordBytesMax + 1'000);
  client.session.on_user_event(2, "e", payload, false);
  CHECK(client.session.output().size() == full);
  client.session.on_deadline(client.now + 1s);
  CHECK(client.session.output().size() > full);
  // Its requests wait for it, and it is not read on without end.
  client.session.on_bytes(request("stats", 3));
  CHECK(client.session.next() == nullptr);
  while (client.session.wants_bytes()) client.session.on_bytes(Memory(16'384, 0xc0));
  static_cast<void>(client.session.take_output());
  const Request* request = client.session.next();
  REQUIRE(request != nullptr);
  CHECK(request->seq == 3);
}

TEST_CASE("a client has a few streams, not any number") {
  Client client;
  client.shake();
  for (std::uint64_t i = 0; i <= Session::kStreamsMax; ++i) {
    CHECK(client.send(stream(i + 1, "*")) == nullptr);
    CHECK(client.take().error(i + 1).empty() == (i < Session::kStreamsMax));
  }
}

}  // namespace
}  // namespace shoal::rpc
