#include "haproxy/server_options.h"

#include <doctest/doctest.h>

#include <string>

using namespace shoal::haproxy;

TEST_CASE("The default options are accepted as they stand") {
  const auto options = ServerOptions::parse(kServerOptionsDefault);
  REQUIRE(options.ok());
  CHECK(options.value().text() == kServerOptionsDefault);
  CHECK(options.value().has_check());
  CHECK(!ServerOptions::parse("maxconn 5").value().has_check());
  CHECK(ServerOptions::parse("").value().text().empty());
}

TEST_CASE("Values that HAProxy would take for something else are refused, with what is right") {
  for (const std::string_view bad :
       {"maxconn abc", "maxconn -5", "maxconn", "inter 2x", "inter", "rise 0", "rise 1x", "observe layer5", "port 0",
        "port 65536", "pool-max-conn -2", "slowstart s", "sni", "ca-file", "on-error", "fall 99999999999999999999"}) {
    CAPTURE(bad);
    const auto result = ServerOptions::parse(bad);
    REQUIRE(!result.ok());
    CHECK(result.error().message.find("haproxy.server_options: `") == 0);
    CHECK(result.error().message.find("expected ") != std::string::npos);
  }
}

TEST_CASE("Options that defeat what shoal does are refused, with the reason") {
  for (const std::string_view bad : {"weight 5", "id 7", "on-marked-down shutdown-sessions", "disabled", "enabled",
                                     "init-state down", "check weight 5"}) {
    CAPTURE(bad);
    const auto result = ServerOptions::parse(bad);
    REQUIRE(!result.ok());
    CHECK(result.error().message.find("cannot be set here") != std::string::npos);
  }
  CHECK(ServerOptions::parse("bogus").error().message.find("`bogus` is not a known option; known are alpn") !=
        std::string::npos);
}

TEST_CASE("No separator or control byte of the socket gets through, not even in a value") {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    for (const std::string& text : {std::string("sni a") + c + "b", std::string("check") + c + "check",
                                    std::string("maxconn 5") + c, std::string("inter 2s") + c + "del server a/b"}) {
      const auto result = ServerOptions::parse(text);
      if (!result.ok()) continue;
      for (const char sent : result.value().text()) {
        CHECK(sent >= ' ');
        CHECK(sent <= '~');
        CHECK(std::string_view(";\\\"'<>#&|$`").find(sent) == std::string_view::npos);
      }
      CHECK(result.value().text().find("del server") == std::string_view::npos);
    }
  }
}

TEST_CASE("More words than HAProxy reads of one line are refused: 2.6 cuts them silently") {
  std::string many;
  for (int i = 0; i < 57; ++i) many += "check ";
  CHECK(!ServerOptions::parse(many).ok());
  CHECK(ServerOptions::parse(many.substr(6)).ok());
  CHECK(!ServerOptions::parse("sni " + std::string(1100, 'x')).ok());
}
