#include "reactor/resolver.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <unistd.h>

#include <map>
#include <string>

#include "reactor/file.h"
#include "reactor/udp_socket.h"
#include "test_loop.h"

namespace shoal::reactor {
namespace {

// A DNS server of a few names. It knows the formats of RFC 1035 and RFC 2782 only as far as these answers go.
class DnsServer {
 public:
  explicit DnsServer(Loop& loop, const Endpoint& local = {IpAddress::v4(127, 0, 0, 1), 0})
      : udp_(loop, [this](const Endpoint& from, Bytes query) { answer(from, query); }) {
    REQUIRE(udp_.bind(local).ok());
  }
  [[nodiscard]] const Endpoint& at() const { return udp_.local(); }
  int queries = 0;
  bool silent = false;

 private:
  enum Type : std::uint16_t { kA = 1, kAaaa = 28, kSrv = 33 };

  static void put_name(ByteWriter& w, std::string_view name) {
    while (!name.empty()) {
      const std::size_t dot = std::min(name.find('.'), name.size());
      w.u8(static_cast<std::uint8_t>(dot));
      w.put(name.substr(0, dot));
      name.remove_prefix(std::min(dot + 1, name.size()));
    }
    w.u8(0);
  }
  static void put_record(ByteWriter& w, Type type, Bytes data) {
    w.u16(0xc00c);  // The question's name.
    w.u16(type);
    w.u16(1);
    w.u32(60);
    w.u16(static_cast<std::uint16_t>(data.size()));
    w.put(data);
  }
  static void put_srv(ByteWriter& w, std::uint16_t priority, std::uint16_t port, std::string_view target) {
    std::uint8_t memory[128];
    ByteWriter data(memory);
    data.u16(priority);
    data.u16(1);
    data.u16(port);
    put_name(data, target);
    put_record(w, kSrv, data.written());
  }

  void answer(const Endpoint& from, Bytes query) {
    ++queries;
    ByteReader r(query);
    const std::uint16_t id = r.u16();
    r.take(10);
    std::string name;
    const std::size_t begin = r.position();
    for (std::uint8_t size = r.u8(); size > 0 && r.ok(); size = r.u8()) {
      name += (name.empty() ? "" : ".") + std::string(as_text(r.take(size)));
    }
    const auto type = static_cast<Type>(r.u16());
    r.u16();
    const Bytes question = query.subspan(begin, r.position() - begin);
    if (silent || name == "silent.test") return;

    std::uint8_t records_memory[512];
    ByteWriter records(records_memory);
    std::uint16_t count = 0;
    bool known = true;
    const std::map<std::string, std::uint8_t> hosts = {{"host.test", 1}, {"a.test", 10}, {"b.test", 20}};
    if (const auto host = hosts.find(name); host != hosts.end()) {
      const std::uint8_t v4[] = {10, 1, 2, host->second};
      std::uint8_t v6[16] = {0xfd};
      v6[15] = host->second;
      if (type == kA) put_record(records, kA, v4);
      if (type == kAaaa && name == "host.test") put_record(records, kAaaa, v6);
      count = type == kA || (type == kAaaa && name == "host.test") ? 1 : 0;
    } else if (name == "_serf._udp.test" && type == kSrv) {
      put_srv(records, 20, 7001, "a.test");
      put_srv(records, 10, 7002, "b.test");
      count = 2;
    } else if (name == "dangling.test" && type == kSrv) {
      put_srv(records, 20, 7001, "nowhere.test");
      count = 1;
    } else {
      known = false;
    }
    std::uint8_t memory[1024];
    ByteWriter w(memory);
    w.u16(id);
    w.u16(known ? 0x8180 : 0x8183);
    w.u16(1);
    w.u16(count);
    w.u32(0);
    w.put(question);
    w.put(records.written());
    udp_.try_send(from, w.written());
  }

  UdpSocket udp_;
};

struct Resolving {
  TestLoop t;
  DnsServer dns{t.loop};
  std::map<std::uint64_t, Resolved> answers;
  Resolver resolver{t.loop, [this](const Resolved& a) { answers.emplace(a.token, a); },
                    Resolver::Options{.servers = {dns.at()}, .try_timeout = 300ms, .questions_max = 4}};
  [[nodiscard]] Instant in(Duration d) { return t.loop.now() + d; }
  [[nodiscard]] bool answered(std::uint64_t token) {
    return t.run_until([&] { return answers.count(token) == 1; });
  }
};

TEST_CASE("a host's v4 and v6 addresses come with the port") {
  Resolving r;
  REQUIRE(r.resolver.resolve_host(1, "host.test", 7946, r.in(2s)));
  CHECK(r.answers.empty());
  REQUIRE(r.answered(1));
  const Resolved& a = r.answers.at(1);
  CHECK(a.error.empty());
  REQUIRE(a.endpoints.size() == 2);
  int seen = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    const Endpoint& e = r.answers.at(1).endpoints.begin()[i];
    CHECK(e.port == 7946);
    seen += e.addr == IpAddress::v4(10, 1, 2, 1) ? 1 : 0;
    seen += e.addr == *IpAddress::parse("fd00::1") ? 10 : 0;
  }
  CHECK(seen == 11);
  CHECK(r.resolver.in_use() == 0);
}

TEST_CASE("an SRV name gives its targets' addresses with their own ports, by priority") {
  Resolving r;
  REQUIRE(r.resolver.resolve_srv(1, "_serf._udp.test", r.in(2s)));
  REQUIRE(r.answered(1));
  const Resolved& a = r.answers.at(1);
  REQUIRE(a.endpoints.size() == 2);
  CHECK(a.endpoints.begin()[0] == Endpoint{IpAddress::v4(10, 1, 2, 20), 7002});
  CHECK(a.endpoints.begin()[1] == Endpoint{IpAddress::v4(10, 1, 2, 10), 7001});
}

TEST_CASE("literal addresses and /etc/hosts do not ask the server") {
  Resolving r;
  REQUIRE(r.resolver.resolve_host(1, "10.9.8.7", 1, r.in(2s)));
  REQUIRE(r.resolver.resolve_host(2, "::1", 2, r.in(2s)));
  REQUIRE(r.resolver.resolve_host(3, "localhost", 3, r.in(2s)));
  CHECK(r.answers.empty());
  REQUIRE(r.answered(1));
  REQUIRE(r.answered(2));
  REQUIRE(r.answered(3));
  CHECK(r.dns.queries == 0);
  CHECK(r.answers.at(1).endpoints.begin()[0] == Endpoint{IpAddress::v4(10, 9, 8, 7), 1});
  CHECK(r.answers.at(2).endpoints.begin()[0] == Endpoint{*IpAddress::parse("::1"), 2});
  bool loopback = false;
  for (const Endpoint& e : r.answers.at(3).endpoints) loopback = loopback || e.addr.is_loopback();
  CHECK(loopback);
}

TEST_CASE("what cannot be resolved is said in words, with the name") {
  Resolving r;
  REQUIRE(r.resolver.resolve_host(1, "absent.test", 1, r.in(2s)));
  REQUIRE(r.resolver.resolve_srv(2, "host.test", r.in(2s)));
  REQUIRE(r.resolver.resolve_srv(3, "dangling.test", r.in(2s)));
  REQUIRE(r.resolver.resolve_host(4, std::string(300, 'x'), 1, r.in(2s)));
  CHECK(!r.resolver.resolve_host(5, "host.test", 1, r.in(2s)));  // Four at a time.
  for (std::uint64_t token = 1; token <= 4; ++token) REQUIRE(r.answered(token));
  CHECK(r.answers.at(1).endpoints.empty());
  CHECK(r.answers.at(1).error == "absent.test: no such name");
  CHECK(r.answers.at(2).error == "host.test: the name has no SRV record");
  CHECK(r.answers.at(3).error == "dangling.test: none of its SRV targets resolves: no such name");
  CHECK(r.answers.at(4).error.view().find("not a host name") != std::string_view::npos);
  CHECK(r.resolver.in_use() == 0);
}

TEST_CASE("the deadline answers for a server that does not, and the question's place comes back") {
  Resolving r;
  const Instant start = r.t.loop.now();
  REQUIRE(r.resolver.resolve_host(1, "silent.test", 1, r.in(100ms)));
  REQUIRE(r.answered(1));
  CHECK(r.t.loop.now() - start >= 100ms);
  CHECK(r.t.loop.now() - start < 1s);
  CHECK(r.answers.at(1).error == "silent.test: no DNS server answered in time");
  CHECK(r.resolver.in_use() == 1);  // Until c-ares gives up as well.
  REQUIRE(r.t.run_until([&] { return r.resolver.in_use() == 0; }));
  CHECK(r.answers.size() == 1);
}

/// A resolv.conf that names the one server.
void write_resolv_conf(const std::string& path, const Endpoint& server) {
  const std::string text = "nameserver " + std::string(to_text(server.addr).view()) + "\n";
  REQUIRE(replace_file(path, text, 0600).ok());
}

TEST_CASE("a changed resolv.conf is noticed with the next question, and open questions go to the new server") {
  TestLoop t;
  DnsServer first(t.loop);
  DnsServer second(t.loop, {IpAddress::v4(127, 0, 0, 2), first.at().port});
  char directory[] = "/tmp/shoal-unit-XXXXXX";
  REQUIRE(::mkdtemp(directory) != nullptr);
  const std::string path = std::string(directory) + "/resolv.conf";
  write_resolv_conf(path, first.at());
  std::map<std::uint64_t, Resolved> answers;
  Resolver resolver(
      t.loop, [&](const Resolved& a) { answers.emplace(a.token, a); },
      Resolver::Options{.resolv_conf = path, .port = first.at().port, .try_timeout = 10s, .questions_max = 4});
  const auto answered = [&](std::uint64_t token) { return t.run_until([&] { return answers.count(token) == 1; }); };

  REQUIRE(resolver.resolve_host(1, "host.test", 1, t.loop.now() + 2s));
  REQUIRE(answered(1));
  CHECK(answers.at(1).error.empty());
  CHECK(first.queries > 0);
  CHECK(resolver.renewals() == 0);

  first.silent = true;
  REQUIRE(resolver.resolve_host(2, "a.test", 2, t.loop.now() + 2s));
  REQUIRE(resolver.resolve_srv(3, "_serf._udp.test", t.loop.now() + 2s));
  t.run_for(20ms);
  CHECK(answers.size() == 1);
  write_resolv_conf(path, second.at());
  REQUIRE(resolver.resolve_host(4, "b.test", 4, t.loop.now() + 2s));
  REQUIRE(answered(2));
  REQUIRE(answered(3));
  REQUIRE(answered(4));
  CHECK(resolver.renewals() == 1);
  CHECK(answers.at(2).endpoints.begin()[0] == Endpoint{IpAddress::v4(10, 1, 2, 10), 2});
  CHECK(answers.at(3).endpoints.size() == 2);
  CHECK(answers.at(4).endpoints.begin()[0] == Endpoint{IpAddress::v4(10, 1, 2, 20), 4});
  CHECK(second.queries > 0);
  CHECK(resolver.in_use() == 0);

  // Gone for a moment, as while somebody writes it anew: the servers that are known stay.
  REQUIRE(::unlink(path.c_str()) == 0);
  REQUIRE(resolver.resolve_host(5, "a.test", 5, t.loop.now() + 2s));
  REQUIRE(answered(5));
  CHECK(answers.at(5).error.empty());
  CHECK(resolver.renewals() == 1);
  ::rmdir(directory);
}

TEST_CASE("a resolver may go away while questions are open") {
  TestLoop t;
  DnsServer dns(t.loop);
  int answers = 0;
  {
    Resolver resolver(
        t.loop, [&](const Resolved&) { ++answers; }, Resolver::Options{.servers = {dns.at()}});
    REQUIRE(resolver.resolve_host(1, "silent.test", 1, t.loop.now() + 2s));
    REQUIRE(resolver.resolve_srv(2, "silent.test", t.loop.now() + 2s));
    t.run_for(20ms);
  }
  t.run_for(20ms);
  CHECK(answers == 0);
}

}  // namespace
}  // namespace shoal::reactor
