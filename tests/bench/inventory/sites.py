"""Traffic of six sites by hand, made before the rules that they then taught: `sites.py SITE SEED REQUESTS [NOISE [soft404|login]] [rare]`.

Prints what gen.py prints: method, path, status, client and the true template of each request, and behind them where a redirect leads.
The sites have what the tables of routes.json lack: ULIDs and other ids without hyphens, addresses, months, quarters, sizes of
pictures, files with several endings, languages before categories of titles, actions behind `!`, `:` and in brackets.
"""
import base64, bisect, itertools, random, re, string, sys

import gen

LETTERS = string.ascii_letters + string.digits
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def text(letters, length):
    return lambda r: "".join(r.choice(letters) for _ in range(length))


def one_of(words):
    words = words.split()
    return lambda r: r.choice(words)


def email(r):
    return gen.username(r) + "@" + r.choice(["example.com", "example.net", "example.org"])


def title(r):
    return "-".join(r.choice(gen.W) for _ in range(r.randint(2, 6)))


# How a value of this name is made, and how many there are.
VALUES = {
    "ulid": (lambda r: "01" + text(CROCKFORD, 24)(r), 4000), "nanoid": (text(LETTERS + "_-", 21), 4000),
    "short": (lambda r: text(LETTERS, r.choice([6, 7, 8]))(r), 3000), "oid": (gen.hexn(24), 4000),
    "ksuid": (text(LETTERS, 27), 3000), "cuid": (lambda r: "c" + text(string.ascii_lowercase + string.digits, 24)(r), 3000),
    "key": (lambda r: base64.urlsafe_b64encode(r.randbytes(12)).decode().rstrip("="), 3000),
    "email": (email, 1500), "encoded": (lambda r: email(r).replace("@", "%40"), 1500),
    "phone": (lambda r: "+49%d" % r.randint(10**9, 10**10), 1500), "isbn": (lambda r: "978%010d" % r.randint(0, 10**10 - 1), 2000),
    "place": (lambda r: "%.4f,%.4f" % (r.uniform(-90, 90), r.uniform(-180, 180)), 800),
    "lang": (one_of("de en fr it es pt-BR nl pl"), 8), "currency": (one_of("EUR USD GBP CHF JPY SEK NOK"), 7),
    "country": (one_of("DE FR US GB IT ES NL SE PL AT CH"), 11), "env": (one_of("prod staging dev"), 3),
    "region": (one_of("eu-west-1 us-east-1 eu-central-1 ap-south-1"), 4), "state": (one_of("open closed"), 2),
    "size": (one_of("150x150 300x200 1024x768 64x64 800x600"), 5),
    "month": (one_of("jan feb mar apr may jun jul aug sep oct nov dec"), 12),
    "city": (one_of("berlin hamburg munich paris london madrid rome vienna zurich oslo lyon porto milan turin basel bern graz"), 17),
    "quarter": (lambda r: f"{r.randint(2018, 2026)}Q{r.randint(1, 4)}", 36),
    "period": (lambda r: f"{r.randint(2018, 2026)}-{r.randint(1, 12):02d}", 100), "date": (gen.date, 900),
    "year": (lambda r: str(r.randint(2009, 2026)), 18), "mm": (lambda r: f"{r.randint(1, 12):02d}", 12),
    "dd": (lambda r: f"{r.randint(1, 28):02d}", 28), "page": (gen.integer(1, 60), 60),
    "title": (title, 1500), "article": (lambda r: "_".join(r.choice(gen.W).title() for _ in range(r.randint(1, 3))), 2000),
    "host": (lambda r: r.choice(gen.W) + r.choice([".internal", ".example.com"]), 200),
    "ip": (lambda r: ".".join(str(r.randint(1, 254)) for _ in range(4)), 300),
    "sku": (lambda r: text("ABCDEFGXYZ", 2)(r) + "-%04d" % r.randint(0, 9999), 2000),
    "ticket": (lambda r: r.choice(["PROJ", "OPS", "WEB", "INFRA", "DATA"]) + "-" + str(r.randint(1, 4000)), 4000),
    "hash": (gen.hexn(8), 60), "user": (gen.username, 2000), "uuid": (gen.uuid, 4000), "id": (gen.integer(1, 10**6), 4000),
    "word": (gen.word, 600), "tag": (gen.word, 150), "category": (gen.word, 14), "team": (gen.word, 40),
    "file": (lambda r: title(r) + r.choice([".pdf", ".docx", ".zip", ".xlsx"]), 1200), "branch": (gen.branch, 80),
    "version": (gen.tag, 120), "package": (gen.repo, 2500),
}
# The same everywhere on a site.
SHARED = {"user", "package", "team", "lang", "category", "tag", "city"}

SITES = {
    "bank": """
GET /api/v1/accounts|GET /api/v1/accounts/{ulid}|GET /api/v1/accounts/{ulid}/transactions|POST /api/v1/accounts/{ulid}/transfers
GET /api/v1/accounts/{ulid}/transactions/{ulid}|GET /api/v1/accounts/{ulid}/statements/{period}
GET /api/v1/accounts/{ulid}/statements/{period}.pdf|GET /api/v1/fx/rates/{currency}|GET /api/v1/fx/rates/{currency}/{currency}
GET /api/v1/fx/history/{date}/{currency}|GET /api/v2/accounts/{ulid}/balance|GET /api/v2/cards/{nanoid}|DELETE /api/v2/cards/{nanoid}
POST /api/v2/cards/{nanoid}/freeze|POST /api/v2/cards/{nanoid}/unfreeze|GET /api/v2/reports/{quarter}|GET /api/v2/branches/{city}
GET /api/v2/branches/{city}/{id}|GET /api/v2/countries/{country}|GET /api/v2/countries/{country}/holidays/{year}
GET /api/v2/payees/{encoded}|PUT /api/v2/payees/{encoded}|GET /api/v2/limits|PUT /api/v2/limits|POST /oauth2/token
GET /oauth2/authorize|GET /oauth2/.well-known/openid-configuration|GET /healthz|GET /internal/audit/{date}
GET /internal/audit/{date}/export.csv""",
    "wiki": """
GET /|GET /wiki/{article}|GET /wiki/{article}/history|GET /wiki/{article}/talk|POST /wiki/{article}|GET /user/{user}
GET /user/{user}/contributions|GET /special/random|GET /special/recent|GET /special/search|GET /category/{tag}
GET /category/{tag}/page/{page}|GET /files/{file}|GET /media/thumb/{size}/{hash}.jpg|GET /archive/{year}/{mm}
GET /archive/{year}/{mm}/{dd}|GET /archive/{year}/{month}|GET /api/page/{id}|GET /api/page/{id}/revisions/{id}
GET /api/diff/{id}/{id}|GET /feeds/{tag}.xml|GET /robots.txt|GET /favicon.ico|GET /sitemap.xml|GET /login|POST /login|GET /logout""",
    "cloud": """
GET /v1/projects|GET /v1/projects/{team}|GET /v1/projects/{team}/clusters|GET /v1/projects/{team}/clusters/{word}
PATCH /v1/projects/{team}/clusters/{word}|GET /v1/projects/{team}/clusters/{word}/nodes/{host}|GET /v1/projects/{team}/envs/{env}/vars
GET /v1/projects/{team}/envs/{env}/deploys|GET /v1/projects/{team}/envs/{env}/deploys/{hash}|GET /v1/projects/{team}/members
POST /v1/projects/{team}/envs/{env}/deploys/{hash}/rollback|GET /v1/projects/{team}/members/{email}
DELETE /v1/projects/{team}/members/{email}|GET /v1/regions|GET /v1/regions/{region}|GET /v1/regions/{region}/zones
GET /v1beta1/dns/{host}|PUT /v1beta1/dns/{host}/records/{word}|GET /v1/ips/{ip}|DELETE /v1/ips/{ip}|GET /v1/registry/{package}
GET /v1/registry/{package}/tags|GET /v1/registry/{package}/tags/{version}|GET /v1/registry/{package}/versions/{version}/download
GET /v1/repos/{user}/{package}|GET /v1/repos/{user}/{package}/branches|GET /v1/repos/{user}/{package}/branches/{branch}
GET /v1/repos/{user}/{package}/commits/{oid}|POST /v1/repos/{user}/{package}/hooks|GET /v1/keys/{key}|GET /v1/events/{ksuid}
GET /v1/usage/{period}|GET /v1/usage/{period}/summary|GET /metrics|GET /livez|GET /readyz""",
    "tickets": """
GET /browse/{ticket}|GET /browse/{ticket}/comments|POST /rest/api/2/issue|GET /rest/api/2/issue/{ticket}
PUT /rest/api/2/issue/{ticket}|POST /rest/api/2/issue/{ticket}/comment|GET /rest/api/2/issue/{ticket}/comment/{id}
GET /rest/api/2/issue/{ticket}/transitions|GET /rest/api/2/project/{sku}|GET /rest/api/2/user/{user}
GET /rest/api/2/user/{user}/avatar|GET /rest/api/2/filter/favourite|GET /rest/api/2/filter/{id}|GET /rest/api/2/myself
GET /rest/agile/1.0/board|GET /rest/agile/1.0/board/{id}|GET /rest/agile/1.0/board/{id}/sprint|GET /rest/agile/1.0/sprint/{id}/issue
POST /rest/auth/1/session|DELETE /rest/auth/1/session|GET /secure/Dashboard.jspa|GET /secure/attachment/{id}/{file}
GET /secure/EditIssue!default.jspa|GET /s/{hash}/styles.css|GET /s/{hash}/batch.js|GET /queues/{state}|GET /queues/{state}/count""",
    "news": """
GET /|GET /{lang}|GET /{lang}/{category}|GET /{lang}/{category}/{title}|GET /{lang}/{category}/{title}/comments
POST /{lang}/{category}/{title}/comments|GET /{lang}/author/{user}|GET /{lang}/tag/{tag}|GET /{lang}/tag/{tag}/{page}
GET /{lang}/archive/{year}/{mm}/{dd}|GET /{lang}/live/{id}|GET /{lang}/search|GET /{lang}/newsletter|POST /{lang}/newsletter
GET /amp/{lang}/{category}/{title}|GET /weather/{city}|GET /weather/{city}/{date}|GET /stocks/{sku}|GET /img/{size}/{oid}.webp
GET /go/{short}|GET /rss/{category}.xml|GET /geo/{place}|GET /robots.txt""",
    "library": """
GET /books|GET /books/{isbn}|GET /books/{isbn}/cover.jpg|GET /books/{isbn}/reviews|POST /books/{isbn}/reviews
GET /books/{isbn}/reviews/{cuid}|GET /authors/{title}|GET /authors/{title}/books|GET /loans/{uuid}|POST /loans
POST /loans/{uuid}:renew|DELETE /loans/{uuid}|GET /members/{phone}|GET /members/{phone}/loans|GET /members/me|GET /members/me/loans
PATCH /members/me|GET /branches/{city}|GET /branches/{city}/hours|GET /genres/{tag}|GET /search|GET /search/suggest|GET /stats/{year}
GET /stats/{year}/{month}|GET /opac/Books({id})|GET /opac/Books({id})/Authors|GET /services/LoanService.asmx
POST /services/LoanService.asmx/Renew|POST /services/LoanService.asmx/Cancel|POST /rpc/loans.renew|POST /rpc/loans.cancel
POST /rpc/books.find|GET /docs/{file}|GET /jobs/{ksuid}/log.txt""",
}
PARAMETER = re.compile(r"\{([^}]+)\}")


def erased(template):
    """A value takes its whole segment, but for an ending or a verb behind it."""
    def segment(text):
        if "(" in text:
            return "{}"
        return PARAMETER.sub("{}", text)
    return "/".join(map(segment, template.split("/")))


def traffic(site, seed, noise, rare, soft, login):
    r = random.Random(f"{site}{seed}")
    routes = [one.split(" ", 1) for one in SITES[site].strip().replace("\n", "|").split("|")]
    r.shuffle(routes)
    weights = (1 / (at + 1) ** (1.5 if rare else 1.0) * {"GET": 1, "POST": 0.5}.get(method, 0.25) for at, (method, _) in enumerate(routes))
    volumes, clients, pools = list(itertools.accumulate(weights)), gen.zipf_cum(5000, 0.7), {}

    def value(template, name):
        place = name if name in SHARED else template[:template.index("{" + name + "}") + 1] + name
        if place not in pools:
            make, number = VALUES[name]
            pools[place] = gen.Pool(make, number, r.choice([0.8, 0.9, 1.0]), r)
        return pools[place].pick(r)

    while True:
        if r.random() < noise:
            path = re.sub(r"\{w\}", lambda _: r.choice(gen.W), r.choice(gen.SCAN))
            status = 200 if soft else 302 if login else 404 if r.random() < 0.93 else r.choice([401, 403, 405])
            yield "GET", path, status, 100_000 + r.randint(0, 3), "", f"/login?next={path}" if status == 302 else ""
            continue
        method, template = routes[bisect.bisect_left(volumes, r.random() * volumes[-1])]
        path = PARAMETER.sub(lambda found: value(template, found.group(1)), template)
        luck = r.random()
        if "{" in template and luck < 0.02:
            status = 404
        elif luck < 0.03:
            status = 302 if login else 401
        elif luck < 0.033:
            status = 500
        else:
            status = 304 if luck < 0.1 and method == "GET" else {"POST": 201, "DELETE": 204}.get(method, 200)
        known = status < 400 and status != 302
        client = bisect.bisect_left(clients, r.random() * clients[-1])
        yield method, path, status, client, erased(template) if known else "", f"/login?next={path}" if status == 302 else ""


if __name__ == "__main__":
    site, seed, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
    noise = next((float(one) for one in sys.argv[4:] if re.fullmatch(r"[\d.]+", one)), 0.05)
    rows = traffic(site, seed, noise, "rare" in sys.argv, "soft404" in sys.argv, "login" in sys.argv)
    for row in itertools.islice(rows, number):
        print(*row, sep="\t")
