#!/usr/bin/env python3
"""Renders chat templates and expressions with jinja2 as transformers sets it up.

    python3 -m venv venv && venv/bin/pip install transformers==5.24.0 jinja2==3.1.6
    venv/bin/python make_template_goldens.py ../resources/text/templates
"""
import datetime
import json
import pathlib
import sys

from jinja2.exceptions import TemplateError
from transformers.utils import chat_template_utils

NOW = datetime.datetime(2026, 1, 5, 7, 8, 9)


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


chat_template_utils.datetime = Clock

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather in a 'city' — \"quoted\" <b>",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "The city"},
                "days": {"type": "integer", "enum": [1, 2]},
            },
            "required": ["city"],
        },
    },
}


def m(role, content, **more):
    return {"role": role, "content": content, **more}


SYSTEM, USER = m("system", "You answer briefly."), m("user", "  What is KV?\n\nSay it.  ")
CALL = {"id": "call12345", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Köln", "days": 2}}}
CASES = {
    "user": ([USER], {}),
    "system": ([SYSTEM, USER], {}),
    "turns": ([SYSTEM, USER, m("assistant", "A cache. <think>x</think>"), m("user", "Größe? 你好 🙂")], {}),
    "no-system turns": ([USER, m("assistant", "<think>\nhm\n</think>\n\nA cache."), m("user", "more")], {}),
    "tools": ([SYSTEM, USER], {"tools": [TOOL]}),
    "tool turns": (
        [
            USER,
            m("assistant", "", tool_calls=[CALL]),
            m("tool", '{"t": 3.5}', tool_call_id="call12345", name="get_weather"),
            m("user", "And now?"),
        ],
        {"tools": [TOOL]},
    ),
    "tool end": (
        [SYSTEM, USER, m("assistant", "", tool_calls=[CALL]), m("tool", "sunny", tool_call_id="call12345", name="get_weather")],
        {"tools": [TOOL]},
    ),
    "no thinking": ([USER], {"enable_thinking": False}),
    "wrong order": ([m("assistant", "hi"), m("assistant", "again")], {}),
    "control tokens": ([m("user", "<|im_end|><|eot_id|><|end|></s>[/INST]<end_of_turn>")], {}),
    "empty": ([m("user", "")], {}),
}

DATA = {
    "n": 7,
    "f": 2.5,
    "s": "Hello, World",
    "u": "äöü 🙂 x",
    "l": [3, 1, 2],
    "names": ["b", "A", "c"],
    "d": {"b": 1, "a": [1, None, True], "items": "x"},
    "people": [{"name": "Bo", "age": 3, "x": {"y": 1}}, {"name": "Al", "age": 5, "x": {"y": 2}}, {"name": "Cy", "age": 3}],
    "none": None,
    "t": True,
    "ml": "one\n\n  two\nthree\n",
}

EXPRESSIONS = """{{ s[::-1] }}|{{ s[1:4] }}|{{ s[-3:] }}|{{ s[0] }}|{{ u[4] }}|{{ u|length }}|{{ l[::-1] }}|{{ l[5:] }}|{{ s[10:2:-2] }}
{{ s.startswith('He') }} {{ s.startswith(('x','H')) }} {{ s.lstrip('He') }} {{ s.rstrip('dl') }} {{ s.split(', ') }} {{ s.split('l', 1)[1] }} {{ ' a b  c '.split() }} {{ 'a b c'.rsplit(' ', 1) }}
{{ s|upper }} {{ s|lower }} {{ 'foo bar-baz'|title }} {{ 'fOO'|capitalize }} {{ s.title() }} {{ s.swapcase() }} {{ '  x '|trim }}| {{ 'xxaxx'|trim('x') }}
{{ n / 2 }} {{ n // 2 }} {{ n % 4 }} {{ -n // 2 }} {{ -n % 4 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ n + f }} {{ 1e20 }} {{ 1e-7 }} {{ 0.1 + 0.2 }} {{ 100.0 }} {{ 1e16 }} {{ 7 / 1 }}
{{ l|sort }} {{ names|sort }} {{ names|sort(case_sensitive=true) }} {{ l|sort(reverse=true) }} {{ people|sort(attribute='age')|map(attribute='name')|list }} {{ people|map(attribute='x.y', default=0)|list }}
{{ people|selectattr('age', 'equalto', 3)|map(attribute='name')|join(', ') }} {{ people|rejectattr('x')|list|length }} {{ l|select('odd')|list }} {{ l|reject('gt', 2)|list }} {{ names|map('upper')|join }}
{{ d|tojson }} {{ d|tojson(indent=2) }} {{ people[0]|tojson(indent=4) }} {{ 'é"\\n</x>&'|tojson }} {{ none|tojson }} {{ [1.0, 2.5e-5, true]|tojson }} {{ {}|tojson(indent=2) }} {{ {'b':1,'a':2}|tojson(sort_keys=true) }}
{{ d.items()|list }} {{ d|items|list }} {{ d['items'] }} {{ d.get('zz', 4) }} {{ d.get('zz') }} {{ d.keys()|list }} {{ d.values()|list }} {{ d|dictsort }} {{ 'a' in d }} {{ 'z' not in d }} {{ d|length }}
{{ missing }}|{{ missing is defined }}|{{ missing|default('dd') }}|{{ none|default('x') }}|{{ none|default('x', true) }}|{{ missing|length }}|{{ d.nope is undefined }}|{{ none is none }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 }} {{ 'a' == 'a' }} {{ [1, 2] == [1, 2] }} {{ t and 'yes' or 'no' }} {{ not t }} {{ none or 'z' }} {{ 'x' if n > 5 else 'y' }} {{ 'x' if n > 50 }}| {{ 1 in l }} {{ 'ell' in s }} {{ not 1 in l }}
{{ 'a' ~ 1 ~ none ~ 2.0 ~ true }} {{ 'ab' * 3 }} {{ [1] * 2 + [3] }} {{ 'x' 'y' }} {{ ('a', 'b') | length }} {{ '%s is %d or %.2f%%' % (s, n, f) }} {{ '{} and {1}'.format(1) if false else '{0}-{1}-{a}'.format(1, 'b', a=2) }} {{ '%s-%s'|format(1, 'z') }}
{% for x in l %}{{ loop.index }}/{{ loop.length }}{{ x }}{% if not loop.last %},{% endif %}{% else %}none{% endfor %} {% for x in [] %}a{% else %}empty{% endfor %} {% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %} {% for x in l if x > 1 %}{{ loop.index0 }}{{ x }} {% endfor %}
{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %} {% for x in l %}{{ loop.previtem }}-{{ loop.nextitem }} {{ loop.cycle('a','b') }} {{ loop.revindex }} {{ loop.first }} {% endfor %} {{ range(3)|list }} {{ range(5, 1, -2)|list }}
{% set ns = namespace(x=1, found=false) %}{% for i in l %}{% set ns.x = ns.x + i %}{% set y = i %}{% endfor %}{{ ns.x }} {{ y is defined }} {% set a, b = 1, 2 %}{{ a + b }} {% set z %}block {{ n }}{% endset %}{{ z|upper }} {% set w | trim %}  pad {% endset %}[{{ w }}]
{% macro hi(name, greet='Hi') %}{{ greet }} {{ name }}{{ caller() if caller else '' }}!{% endmacro %}{{ hi('Bo') }} {{ hi(name='Al', greet='Yo') }} {% call hi('Cy') %} inner {{ n }}{% endcall %} {% macro deep(x) %}{% if x > 0 %}{{ x }}{{ deep(x - 1) }}{% endif %}{% endmacro %}{{ deep(4) }}
{% filter upper %}abc {{ s }}{% endfilter %} {% with q = 5, r = 6 %}{{ q + r }}{% endwith %}{{ q is defined }} {% raw %}{{ raw }} {% if %}{% endraw %} {# comment #}after {% for x in [[1,[2,3]],[4,[]]] recursive %}{{ x[0] if x is sequence else x }}{% endfor %}
{% if n is odd %}odd{% endif %} {{ n is divisibleby 7 }} {{ s is string }} {{ l is sequence }} {{ d is mapping }} {{ f is float }} {{ n is integer }} {{ n is number }} {{ t is boolean }} {{ t is true }} {{ l is iterable }} {{ n is eq 7 }} {{ n is not none }} {{ n is in [7] }} {{ s is lower }}
{{ ml|indent }}|{{ ml|indent(2, true) }}|{{ ml|indent(2, blank=true) }}|{{ ml.splitlines() }}|{{ 'a,b'.replace(',', ';') }}|{{ s|replace('l', 'L') }}|{{ 'aaa'.replace('a', 'b', 2) }}|{{ s.find('o') }}|{{ s.count('l') }}|{{ ', '.join(names) }}
{{ l|first }} {{ l|last }} {{ l|max }} {{ l|min }} {{ l|sum }} {{ people|sum(attribute='age') }} {{ l|reverse|list }} {{ 'abc'|reverse }} {{ [1,1,2]|unique|list }} {{ 'abc'|list }} {{ l|batch(2)|list }} {{ l|batch(2, 0)|list }} {{ people|groupby('age')|map('first')|list }} {{ 3.7|int }} {{ '42'|int }} {{ 'x'|int(9) }} {{ '1.5'|float }} {{ 2.5|round }} {{ 2.567|round(2) }} {{ 2.1|round(0, 'ceil') }} {{ -3|abs }}
{{ strftime_now('%d %b %Y') }} {{ strftime_now('%Y-%m-%d %H:%M:%S %A %B %a %j %p %I %y') }} {{ "it's" }} {{ ["it's", 'a"b', 'c\\n', none, true, 1.5] }} {{ {'k': 'v', 1: [2]} }} {{ 'a b&c/d'|urlencode }} {{ '<a>'|escape }} {{ 'one two three'|wordcount }} {{ 'x'|center(5) }}| {{ 'foo bar baz qux'|truncate(9) }} {{ 'foo bar baz qux'|truncate(9, true) }}
{{ 'a.b'.partition('.') }} {{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.txt'.removesuffix('.txt') }} {{ '12'.isdigit() }} {{ 'a1'.isalpha() }} {{ '7'.zfill(3) }} {{ 'x'.ljust(3) }}| {{ s|attr('upper') is callable }} {{ (1, 2)[0] }} {{ d.a[2] }} {{ d['a'][-3] }} {{ people[0].x.y }} {{ people.0.name }}"""

BLOCKS = [
    "  {% if true %}\n  a\n  {% endif %}\nb\n",
    "{%- if true -%}\n  a \n {%- endif +%}\n b",
    "x\n   {%+ if true %}y{% endif %}  \nz\n\n",
    "{{ 'a' }}\n{{ 'b' }}\n",
    "  {{- 'a' -}}  \n b {# c #}\n d  {#- e -#}  f",
    "a\n  {# c #}\nb",
    "{% raw -%}\n  x {{ y }}\n{%- endraw %}\n z",
    "\t{% for x in [1,2] %}\n\t- {{ x }}\n\t{% endfor %}\nend",
    "a\r\nb\r{% if true %}\r\nc{% endif %}",
    "{% generation %}gen {{ n }}{% endgeneration %}",
    "{% if false %}a{% elif n == 7 %}b{% else %}c{% endif %}{% if none %}x{% else %}y{% endif %}",
    "{{ {'a': {'b': [1, {'c': 2}]}}.a.b[1].c }}{{ '}}' }}{{ \"%}\" }}",
]


def render(source, **variables):
    template = chat_template_utils._compile_jinja_template(source)
    try:
        return {"text": template.render(**variables)}
    except TemplateError as e:
        return {"error": str(e)}
    except TypeError as e:
        return {"error": str(e)}


def main():
    out = pathlib.Path(sys.argv[1])
    goldens = []
    for file in sorted(out.glob("*.jinja")):
        source = file.read_text(encoding="utf-8")
        for name, (messages, extra) in CASES.items():
            for prompt in (True, False):
                variables = {"tools": None, "documents": None, **extra, **TOKENS}
                result = render(source, messages=messages, add_generation_prompt=prompt, **variables)
                goldens.append(
                    {"template": file.name, "case": name, "messages": messages, "extra": extra, "prompt": prompt, **result}
                )
    write(out / "goldens.json", {"now": NOW.isoformat(), "tokens": TOKENS, "cases": goldens})
    sources = EXPRESSIONS.split("\n") + BLOCKS
    cases = [{"source": s, **render(s, **DATA)} for s in sources]
    for case in cases:
        assert "text" in case, case
    write(out / "expressions.json", {"now": NOW.isoformat(), "data": DATA, "cases": cases})


def write(path, data):
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
