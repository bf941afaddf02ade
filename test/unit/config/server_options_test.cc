#include "config/server_options.h"

#include <doctest/doctest.h>

#include "config/settings.h"

using namespace shoal::config;

namespace {
std::string wrong_with(std::string_view text) {
  std::string clean;
  return check_server_options(text, clean);
}
bool names(std::string_view text, std::string_view part) { return wrong_with(text).find(part) != std::string::npos; }
}  // namespace

TEST_CASE("the default options pass their own check unchanged") {
  std::string clean;
  const auto fallback = find_setting("haproxy.server_options")->fallback;
  CHECK(check_server_options(fallback, clean).empty());
  CHECK(clean == fallback);
  CHECK(clean.find("weight") == std::string::npos);
  CHECK(clean.find("maxconn") == std::string::npos);
  CHECK(clean.find("init-state") == std::string::npos);
}

TEST_CASE("space is made even and no options are allowed") {
  std::string clean = "old";
  CHECK(check_server_options("  check   inter  2s ", clean).empty());
  CHECK(clean == "check inter 2s");
  CHECK(check_server_options("", clean).empty());
  CHECK(clean.empty());
}

TEST_CASE("values that HAProxy would silently misread are refused") {
  CHECK(wrong_with("maxconn 100").empty());
  CHECK(names("maxconn abc", "whole number"));
  CHECK(names("maxconn -5", "whole number"));
  CHECK(names("maxconn 5x", "whole number"));
  CHECK(names("maxconn", "needs a value"));
  CHECK(names("check inter", "needs a value"));
  CHECK(names("inter 2seconds", "no time"));
  CHECK(names("inter 0", "no time"));
  CHECK(names("rise 0", "1 to 1000"));
  CHECK(names("port 70000", "65535"));
  CHECK(names("observe layer5", "did you mean layer4"));
  CHECK(wrong_with("pool-max-conn -1").empty());
  CHECK(wrong_with("ssl verify none sni req.hdr(host) alpn h2,http/1.1 ca-file /etc/ssl/ca.pem").empty());
}

TEST_CASE("keywords that are shoal's own, harmful or unknown are refused with the reason") {
  CHECK(names("weight 5", "task.weight"));
  CHECK(names("id 5", "consistent hashing"));
  CHECK(names("on-marked-down shutdown-sessions", "requests in flight"));
  CHECK(names("init-state down", "haproxy.verify = \"check\""));
  CHECK(names("cookie x", "stick table"));
  CHECK(names("slowstart fast", "no time"));
  CHECK(wrong_with("check slowstart 10s").empty());
  CHECK(names("intr 2s", "did you mean inter"));
  CHECK(names("bogus-keyword-here", "not on the list"));
  CHECK(names("2s", "not on the list"));
}

TEST_CASE("nothing that means something to the runtime socket gets through") {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (word || std::string_view("._:/@,=+()!*%- ").find(c) != std::string_view::npos) continue;
    CAPTURE(byte);
    CHECK_FALSE(wrong_with(std::string("check sni a") + c + "show").empty());
    CHECK_FALSE(wrong_with(std::string("check") + c + "check").empty());
  }
  CHECK_FALSE(wrong_with("sni <<").empty());
}

TEST_CASE("more words than HAProxy reads are refused") {
  std::string many;
  for (int i = 0; i < 48; ++i) many += "check ";
  CHECK(wrong_with(many).empty());
  CHECK(names(many + "check", "at most 48"));
}
