#include "config/values.h"

#include <doctest/doctest.h>

#include <csignal>

using namespace shoal;
using namespace shoal::config;

TEST_CASE("durations are written in falling units, each once") {
  CHECK(parse_duration("500ms") == Duration(500ms));
  CHECK(parse_duration("30s") == Duration(30s));
  CHECK(parse_duration("1m30s") == Duration(90s));
  CHECK(parse_duration("2h") == Duration(2h));
  CHECK(parse_duration("1h1m1s1ms") == Duration(1h + 1min + 1s + 1ms));
  CHECK(parse_duration("0s") == Duration(0s));
  for (const char* bad : {"", "30", "s", "30 s", "-5s", "+5s", "1.5s", "5s5s", "5s1m", "1d", "30S",
                          "99999999999999999999s", "9999999999h", "1m30", "ms"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_duration(bad).has_value());
  }
}

TEST_CASE("a duration printed is the duration read") {
  for (const char* text : {"500ms", "30s", "1m30s", "2h", "1h1ms", "0s"}) {
    CAPTURE(text);
    CHECK(duration_text(parse_duration(text).value()) == text);
  }
}

TEST_CASE("seeds are literal addresses, host names, or SRV names") {
  Seed seed;
  CHECK(read_seed("10.0.0.1", seed).empty());
  CHECK(seed.kind == Seed::Kind::kAddress);
  CHECK(to_text(seed.address).view() == "10.0.0.1:7946");
  CHECK(read_seed("[fd00::1]:80", seed).empty());
  CHECK(to_text(seed.address).view() == "[fd00::1]:80");
  CHECK(read_seed("fd00::1", seed).empty());
  CHECK(to_text(seed.address).view() == "[fd00::1]:7946");
  CHECK(read_seed("haproxy.internal:7000", seed).empty());
  CHECK(seed.kind == Seed::Kind::kHost);
  CHECK(seed.host == "haproxy.internal");
  CHECK(seed.port == 7000);
  CHECK(seed.text == "haproxy.internal:7000");
  CHECK(read_seed("srv:_serf._udp.example.org", seed).empty());
  CHECK(seed.kind == Seed::Kind::kSrv);
  CHECK(seed.host == "_serf._udp.example.org");
  for (const char* bad : {"", ":80", "host:", "host:0", "host:70000", "a b", "300.0.0.1", "1.2.3", "srv:", "srv:a b",
                          "a,b", "[fd00::1", "0.0.0.0", "224.0.0.1", "--backend", "http://x", "a..b", "host\n"}) {
    CAPTURE(bad);
    CHECK_FALSE(read_seed(bad, seed).empty());
  }
}

TEST_CASE("ready is a way, with a path or a time where it needs one") {
  Worker worker;
  CHECK(read_ready("notify", worker).empty());
  CHECK(worker.ready == Ready::kNotify);
  CHECK(read_ready("tcp", worker).empty());
  CHECK(worker.ready == Ready::kTcp);
  CHECK(read_ready("http:/ready?deep=1&x=%20", worker).empty());
  CHECK(worker.ready == Ready::kHttp);
  CHECK(worker.ready_path == "/ready?deep=1&x=%20");
  CHECK(read_ready("delay:1m30s", worker).empty());
  CHECK(worker.ready == Ready::kDelay);
  CHECK(worker.ready_delay == Duration(90s));
  CHECK(read_ready("auto", worker).empty());
  CHECK(worker.ready == Ready::kAuto);
  CHECK(read_ready("atuo", worker).find("did you mean auto?") != std::string::npos);
  for (const char* bad :
       {"", "http", "http:", "http:ready", "http://host/", "http:/a b", "http:/a\r\nX: y", "http:/a#b", "http:/\x7f",
        "http:/\xc3\xa4", "delay:", "delay:5", "delay:2h", "delay:-1s", "TCP"}) {
    CAPTURE(bad);
    CHECK_FALSE(read_ready(bad, worker).empty());
    CHECK(worker.ready == Ready::kAuto);
  }
  CHECK(read_ready("http:/" + std::string(1023, 'a'), worker).empty());
  CHECK_FALSE(read_ready("http:/" + std::string(1024, 'a'), worker).empty());
}

TEST_CASE("health is off or a way, with a path where it needs one") {
  Worker worker;
  CHECK(read_health("queue", worker).empty());
  CHECK(worker.health == WorkerHealth::kQueue);
  CHECK(read_health("tcp", worker).empty());
  CHECK(worker.health == WorkerHealth::kTcp);
  CHECK(read_health("http:/healthz", worker).empty());
  CHECK(worker.health == WorkerHealth::kHttp);
  CHECK(worker.health_path == "/healthz");
  CHECK(read_health("off", worker).empty());
  CHECK(worker.health == WorkerHealth::kOff);
  CHECK(read_health("ququ", worker).find("queue") != std::string::npos);
  CHECK_FALSE(read_health("http:healthz", worker).empty());
  CHECK_FALSE(read_health("notify", worker).empty());
}

TEST_CASE("gossip binds a literal address; the port may be left open") {
  Bind bind;
  CHECK(read_bind("0.0.0.0", bind).empty());
  CHECK_FALSE(bind.port.has_value());
  CHECK(read_bind("[::]:7000", bind).empty());
  CHECK(bind.port == 7000);
  CHECK(bind.addr.is_unspecified());
  CHECK(read_bind("10.0.0.1:0", bind).empty());
  CHECK(bind.port == 0);
  for (const char* bad : {"", "localhost", "1.2.3.4:x", "1.2.3.4:99999", "224.0.0.1", ":7946"}) {
    CAPTURE(bad);
    CHECK_FALSE(read_bind(bad, bind).empty());
  }
}

TEST_CASE("advertise takes auto, an address, a network or an interface") {
  Advertise advertise;
  CHECK(read_advertise("auto", advertise).empty());
  CHECK(advertise.kind == Advertise::Kind::kAuto);
  CHECK(read_advertise("10.0.0.5:7000", advertise).empty());
  CHECK(advertise.kind == Advertise::Kind::kAddress);
  CHECK(advertise.port == 7000);
  CHECK(read_advertise("10.0.0.0/8", advertise).empty());
  CHECK(advertise.kind == Advertise::Kind::kNetwork);
  CHECK(advertise.network.bits == 8);
  CHECK(read_advertise("eth0", advertise).empty());
  CHECK(advertise.kind == Advertise::Kind::kInterface);
  CHECK(advertise.interface_name == "eth0");
  for (const char* bad : {"", "0.0.0.0", "10.0.0.0/99", "10.0.0.5:0", "10.0.0", "an-interface-name-too-long", "a b"}) {
    CAPTURE(bad);
    CHECK_FALSE(read_advertise(bad, advertise).empty());
  }
}

TEST_CASE("the service socket needs a literal address and a port") {
  Endpoint listen;
  CHECK(read_listen("0.0.0.0:0", listen).empty());
  CHECK(read_listen("[::1]:80", listen).empty());
  CHECK(listen.port == 80);
  for (const char* bad : {"", ":80", "localhost:80", "0.0.0.0", "::1:80", "0.0.0.0:65536"}) {
    CAPTURE(bad);
    CHECK_FALSE(read_listen(bad, listen).empty());
  }
}

TEST_CASE("tags of shoal's own are refused") {
  Tag tag;
  CHECK(read_tag("zone=a=b", tag).empty());
  CHECK(tag.name == "zone");
  CHECK(tag.value == "a=b");
  CHECK(read_tag("empty=", tag).empty());
  for (const char* bad : {"role=x", "state=ready", "shoal=2", "wish=drain", "=a", "zone", "", "a=b\n"}) {
    CAPTURE(bad);
    CHECK_FALSE(read_tag(bad, tag).empty());
  }
}

TEST_CASE("stop signals are named, with or without SIG") {
  int number = 0;
  CHECK(read_signal("SIGQUIT", number).empty());
  CHECK(number == SIGQUIT);
  CHECK(read_signal("USR1", number).empty());
  CHECK(number == SIGUSR1);
  for (const char* bad : {"", "SIG", "15", "sigterm", "SIGSTOP", "SIGCHLD"}) {
    CAPTURE(bad);
    CHECK_FALSE(read_signal(bad, number).empty());
  }
  CHECK(read_signal("SIGKILL", number).find("by itself") != std::string::npos);
}

TEST_CASE("names that go to others have their limits") {
  CHECK(check_node_name(std::string(255, 'n')).empty());
  CHECK(check_node_name(std::string(256, 'n')).find("256 bytes") != std::string::npos);
  CHECK_FALSE(check_node_name("a\x01").empty());
  CHECK_FALSE(check_node_name("").empty());
  CHECK(check_pool_name("Web_1.a:b-c").empty());
  CHECK(check_pool_name(std::string(64, 'p')).empty());
  for (const std::string& bad : {std::string(65, 'p'), std::string(), std::string("a b"), std::string("a/b"),
                                 std::string("a;b"), std::string("a\nb"), std::string("ü")}) {
    CAPTURE(bad);
    CHECK_FALSE(check_pool_name(bad).empty());
  }
  CHECK_FALSE(check_server_prefix("").empty());  // It would own every server of HAProxy.
  CHECK_FALSE(check_server_prefix("a/").empty());
  CHECK(check_server_prefix("shoal-").empty());
  CHECK(check_socket_path("/run/h.sock").empty());
  CHECK(check_socket_path("/" + std::string(106, 's')).empty());
  CHECK_FALSE(check_socket_path("/" + std::string(107, 's')).empty());
  CHECK_FALSE(check_socket_path("127.0.0.1:9999").empty());
}

TEST_CASE("a runtime socket that is none is refused with the way to write one") {
  const auto wrong = [](std::string_view text) {
    RuntimeSocket socket;
    return read_runtime_socket(text, socket);
  };
  CHECK(wrong("admin.sock").find("no path of a UNIX socket") != std::string::npos);
  CHECK(wrong("").find("no path of a UNIX socket") != std::string::npos);
  CHECK(wrong("master@").find("no path of a UNIX socket") != std::string::npos);
  CHECK(wrong("master@ipv4:1").find("no path of a UNIX socket") != std::string::npos);
  CHECK(wrong("127.0.0.1:9999").find("ipv4@ADDRESS:PORT") != std::string::npos);
  CHECK(wrong("unix@/a").find("does not know") != std::string::npos);
  CHECK(wrong("fd@3").find("does not know") != std::string::npos);
  for (const char* text : {"ipv4@127.0.0.1", "ipv4@127.0.0.1:0", "ipv4@0.0.0.0:9", "ipv4@localhost:9", "ipv4@[::1]:9",
                           "ipv4@:9", "ipv4@1.2.3.4:65536"}) {
    CHECK(wrong(text).find("no numeric IPv4 address") != std::string::npos);
  }
  for (const char* text : {"ipv6@::1", "ipv6@127.0.0.1:9", "ipv6@[::]:9", "ipv6@[::1]:x"}) {
    CHECK(wrong(text).find("no numeric IPv6 address") != std::string::npos);
  }
  CHECK(wrong("abns@").find("1 to 107") != std::string::npos);
  CHECK(wrong("abns@" + std::string(108, 'x')).find("1 to 107") != std::string::npos);
  CHECK(wrong("abns@" + std::string(107, 'x')).empty());
  CHECK_FALSE(wrong("abns@a\nb").empty());
  CHECK_FALSE(wrong("/a\nb").empty());
  CHECK_FALSE(wrong("/" + std::string(107, 's')).empty());
}
