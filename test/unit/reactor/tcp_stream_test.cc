#include "reactor/tcp_stream.h"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include "test_loop.h"

namespace shoal::reactor {
namespace {

const Endpoint kAnyPort{IpAddress::v4(127, 0, 0, 1), 0};

// Records what happens; a hook may act on it.
struct Recorder : StreamHandler {
  void on_accepted(TcpStream& stream) override { note("accepted", stream); }
  void on_connected(TcpStream& stream) override { note("connected", stream); }
  void on_failed(TcpStream& stream, StreamEnd why) override { note("failed:" + std::string(to_text(why)), stream); }
  void on_bytes(TcpStream& stream, Bytes bytes) override {
    received += bytes.size();
    for (const std::uint8_t byte : bytes) sum += byte;
    if (on_event) on_event("bytes", stream);
  }
  void on_end(TcpStream& stream) override { note("end", stream); }
  void on_written(TcpStream& stream) override { note("written", stream); }
  void on_closed(TcpStream& stream, StreamEnd why) override { note("closed:" + std::string(to_text(why)), stream); }

  void note(const std::string& event, TcpStream& stream) {
    events.push_back(event);
    if (on_event) on_event(event, stream);
  }
  [[nodiscard]] bool saw(std::string_view event) const {
    for (const std::string& e : events) {
      if (e == event) return true;
    }
    return false;
  }

  std::vector<std::string> events;
  std::size_t received = 0;
  std::uint64_t sum = 0;
  std::function<void(const std::string&, TcpStream&)> on_event;
};

struct Pair {
  Pair() : server(t.loop, served, 2), client(t.loop, connected, 4), listener(t.loop, server) {
    const Result<Endpoint> bound = listener.listen(kAnyPort);
    REQUIRE(bound.ok());
    at = bound.value();
  }
  TestLoop t;
  Recorder served;
  Recorder connected;
  StreamPool server;
  StreamPool client;
  TcpListener listener;
  Endpoint at;
};

TEST_CASE("a large write goes out from the caller's memory, then half-close and an answer come through") {
  Pair p;
  Buffer large(4 * 1024 * 1024);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < large.size(); ++i) sum += large.bytes()[i] = static_cast<std::uint8_t>(i * 31 + i / 977);
  TcpStream* stream = p.client.connect(p.at);
  REQUIRE(stream != nullptr);
  CHECK(p.connected.events.empty());
  p.connected.on_event = [&](const std::string& event, TcpStream& s) {
    if (event == "connected") {
      s.write(large.bytes());
      s.shutdown_write();
    }
    if (event == "end") s.close();
  };
  p.served.on_event = [&](const std::string& event, TcpStream& s) {
    if (event == "end") {
      s.write(as_bytes("thank you"));
      s.shutdown_write();
    }
    if (event == "written") s.close();
  };
  REQUIRE(p.t.run_until([&] { return p.client.in_use() == 0 && p.server.in_use() == 0; }));
  CHECK(p.served.received == large.size());
  CHECK(p.served.sum == sum);
  CHECK(p.connected.received == 9);
  CHECK(p.connected.events == std::vector<std::string>{"connected", "written", "end"});
  CHECK(p.served.events == std::vector<std::string>{"accepted", "end", "written"});
}

TEST_CASE("a full pool refuses by closing, and a freed stream is used again under a new id") {
  Pair p;
  for (int i = 0; i < 3; ++i) REQUIRE(p.client.connect(p.at) != nullptr);
  REQUIRE(p.t.run_until([&] { return p.connected.saw("end") || p.connected.saw("closed:reset by the peer"); }));
  CHECK(p.listener.accepted() == 2);
  CHECK(p.listener.refused() == 1);
  CHECK(p.server.in_use() == 2);

  const std::uint64_t old_id = p.server.at(0).id();
  p.server.at(0).close();
  p.server.at(0).close();
  CHECK(p.server.in_use() == 1);
  REQUIRE(p.client.connect(p.at) != nullptr);
  CHECK(p.client.connect(p.at) == nullptr);
  REQUIRE(p.t.run_until([&] { return p.listener.accepted() == 3; }));
  CHECK(p.server.at(0).id() != old_id);
  CHECK(p.server.at(0).is_open());
}

TEST_CASE("the last words of a program arrive: an unfinished write, then what is said, then an end") {
  Pair pair;
  TcpStream* stream = pair.client.connect(pair.at);
  REQUIRE(stream != nullptr);
  REQUIRE(pair.t.run_until([&] { return pair.connected.saw("connected") && pair.served.saw("accepted"); }));
  const std::vector<std::uint8_t> first(1'000, 1);
  const std::vector<std::uint8_t> last(500, 2);
  stream->write(first);
  stream->finish_now(last);
  CHECK(stream->is_free());
  REQUIRE(pair.t.run_until([&] { return pair.served.saw("end"); }));
  CHECK(pair.served.received == 1'500);
  CHECK(pair.served.sum == 2'000);
  CHECK_FALSE(pair.connected.saw("written"));
}

TEST_CASE("a refused connect is told once, later, and its stream is free") {
  Pair p;
  p.listener.close();
  TcpStream* stream = p.client.connect(p.at);
  REQUIRE(stream != nullptr);
  bool free_inside = true;
  p.connected.on_event = [&](const std::string&, TcpStream& s) { free_inside = s.is_free(); };
  REQUIRE(p.t.run_until([&] { return !p.connected.events.empty(); }));
  p.t.run_for(20ms);
  CHECK(p.connected.events == std::vector<std::string>{"failed:refused"});
  CHECK(!free_inside);  // Not handed out while its handler runs.
  CHECK(stream->is_free());
  CHECK(p.client.in_use() == 0);
}

TEST_CASE("a connect that fails at once is told outside the call, and a closed one not at all") {
  Pair p;
  TcpStream* stream = p.client.connect({IpAddress{}, 80});
  REQUIRE(stream != nullptr);
  TcpStream* closed = p.client.connect({IpAddress{}, 80});
  REQUIRE(closed != nullptr);
  closed->close();
  CHECK(p.connected.events.empty());
  REQUIRE(p.t.run_until([&] { return !p.connected.events.empty(); }));
  p.t.run_for(20ms);
  CHECK(p.connected.events == std::vector<std::string>{"failed:unreachable"});
}

TEST_CASE("a paused stream reads nothing until it is resumed") {
  Pair p;
  p.served.on_event = [&](const std::string& event, TcpStream& s) {
    if (event == "accepted") s.pause_reading(true);
  };
  TcpStream* stream = p.client.connect(p.at);
  p.connected.on_event = [&](const std::string& event, TcpStream& s) {
    if (event == "connected") s.write(as_bytes("hello"));
  };
  REQUIRE(stream != nullptr);
  REQUIRE(p.t.run_until([&] { return p.connected.saw("written") && p.served.saw("accepted"); }));
  p.t.run_for(30ms);
  CHECK(p.served.received == 0);
  p.server.at(0).pause_reading(false);
  REQUIRE(p.t.run_until([&] { return p.served.received == 5; }));
}

TEST_CASE("a peer that breaks off ends the stream with on_closed") {
  Pair p;
  TcpStream* stream = p.client.connect(p.at);
  REQUIRE(stream != nullptr);
  // Closing with unread bytes makes the kernel send a reset.
  p.served.on_event = [&](const std::string& event, TcpStream& s) {
    if (event == "accepted") s.pause_reading(true);
  };
  p.connected.on_event = [&](const std::string& event, TcpStream& s) {
    if (event == "connected") s.write(as_bytes("unread"));
  };
  REQUIRE(p.t.run_until([&] { return p.connected.saw("written") && p.served.saw("accepted"); }));
  p.t.run_for(10ms);
  p.server.at(0).close();
  REQUIRE(p.t.run_until([&] { return p.connected.saw("closed:reset by the peer"); }));
  CHECK(stream->is_free());
}

}  // namespace
}  // namespace shoal::reactor
