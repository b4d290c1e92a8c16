// Chat templates: any text as a template with any data ends in a text or in an error, within its
// limits. A NUL byte ends the template; what follows is the JSON of its variables, and where that
// is none, a chat.
#include <fstream>
#include <string>
#include <string_view>

#include "fuzz.h"
#include "text/jinja_template.h"

namespace ponder {
namespace {

constexpr std::string_view kChat =
    R"({"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Grüße, 北京"},)"
    R"({"role":"assistant","content":null,"tool_calls":[{"type":"function","function":)"
    R"({"name":"f","arguments":{"a":1,"b":[true,2.5,18446744073709551615]}}}]}],)"
    R"("tools":null,"documents":null,"add_generation_prompt":true,"bos_token":"<s>"})";

constexpr std::string_view kSeeds[] = {
    "{% for m in messages %}{{ '<' ~ m.role ~ '>' + (m['content'] or '')|trim }}{% endfor %}",
    "{%- set ns = namespace(n=0) -%}{%- for m in messages if m.role != 'user' -%}\n"
    "  {%- set ns.n = ns.n + loop.index0 -%}{{ loop.last }}{%- else -%}x{%- endfor -%}{{ ns.n }}",
    "{% macro f(a, b=1) %}{{ a|tojson(indent=2) }}{{ caller() }}{{ kwargs }}{% endmacro %}"
    "{% call f(messages, c=2) %}{{ messages[1:][::-1]|map(attribute='role')|join(', ') }}{% "
    "endcall %}",
    "{% if tools is not none and tools is iterable %}{{ raise_exception('no') }}{% elif not x %}"
    "{{ strftime_now('%d %b %Y') }}{% endif %}{# c #}{% raw %}{{ }}{% endraw %}",
    "{{ messages|selectattr('role','equalto','user')|list|length // 2 ** 3 % 5 - 1.5e3 }}"
    "{{ 'a,b'.split(',')[-1].replace('b', \"\\u00e9\").center(9, '*') }}{{ '%5.2f|%s' % (1, 'x') "
    "}}",
    "{% set x | upper %}{% filter indent(2, true) %}a{% break %}{% endfilter %}{% endset %}",
    "{{ '{:>8.3f} {0!r} {a[0]}'.format(1.5, a=[1]) ~ dict(a=1)|dictsort ~ range(3, 9, 2)|list }}",
    "{{ messages|groupby('role')|batch(2, 'x')|list }}{{ [3, 1]|sort(reverse=true)|unique|sum }}",
};

}  // namespace

void plant(const std::string& folder) { plant_seeds(folder, kSeeds); }

void run(std::string_view input) {
  const size_t cut = std::min(input.find('\0'), input.size());
  const Result<jinja::Template> made =
      jinja::Template::parse(input.substr(0, cut), {.depth = 100, .nodes = 20'000});
  check_message(made.status());
  if (!made.ok()) return;
  Result<jinja::Value> variables =
      jinja::Value::from_json(input.substr(std::min(cut + 1, input.size())));
  check_message(variables.status());
  if (!variables.ok() || !variables->is_dict()) variables = jinja::Value::from_json(kChat);
  jinja::RenderOptions options;
  options.now = jinja::LocalTime{2025, 1, 20, 12, 34, 56};
  options.limits.steps = 200'000;
  options.limits.output_bytes = size_t{1} << 20;
  options.limits.value_bytes = size_t{8} << 20;
  const Result<std::string> text = made->render(*variables, options);
  if (!text.ok()) return;  // the message may be the template's own, of any form
  PONDER_CHECK(text->size() <= options.limits.output_bytes);
  const Result<std::string> again = made->render(*variables, options);
  PONDER_CHECK(again.ok() && *again == *text, "a second rendering differs");
}

}  // namespace ponder
