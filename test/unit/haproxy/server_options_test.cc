#include "haproxy/server_options.h"

#include <doctest/doctest.h>

#include <string>

namespace shoal::haproxy {

TEST_CASE("Words keep their order, with one space between them, and `check` is noticed") {
  const auto options = ServerOptions::parse("  check   inter 2s  ");
  REQUIRE(options.ok());
  CHECK(options.value().text() == "check inter 2s");
  CHECK(options.value().has_check());
  CHECK(!ServerOptions::parse("maxconn 5 check-ssl").value().has_check());
  CHECK(ServerOptions::parse("").value().text().empty());
}

TEST_CASE("No separator, quote, escape or control byte of the socket gets through") {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const std::string text = std::string("sni a") + c + "b";
    const bool letter_or_digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool harmless = letter_or_digit || std::string(" _.:-/@,=+()!*%").find(c) != std::string::npos;
    INFO("byte " << byte);
    CHECK(ServerOptions::parse(text).ok() == (harmless && byte != 0));
  }
}

TEST_CASE("More words or bytes than HAProxy reads of one line are refused: 2.6 cuts them silently") {
  std::string many;
  for (int i = 0; i < 49; ++i) many += "check ";
  CHECK(!ServerOptions::parse(many).ok());
  CHECK(ServerOptions::parse(many.substr(6)).ok());
  CHECK(!ServerOptions::parse("sni " + std::string(1100, 'x')).ok());
}

}  // namespace shoal::haproxy
