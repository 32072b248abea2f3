"""Traffic with known templates: realistic values, Zipf volumes, scanner noise."""
import base64, json, random, re, string, bisect, itertools, hashlib
import os, pathlib
HERE=pathlib.Path(__file__).parent
T=json.load(open(os.environ.get('ROUTES', HERE/'routes.json')))
_names=(HERE/'names.txt').read_text().split()
PK=[n for n in _names if re.fullmatch(r'[a-z0-9._-]{2,30}',n) and not n.startswith('@')]
W=sorted({w for n in PK for w in re.split(r'[-._]',n) if 3<=len(w)<=10 and w.isalpha()})
FIRST='anna ben carla david emma felix greta hans ines jan karin leo maria nils olga paul rita sven tina uwe vera will yara zoe alex chris sam kim lee max noah mia ella liam omar ali wei yuki raj priya ivan oleg juan jose luis ana eva lena lara tom tim joe bob alice carol dave erin frank grace heidi'.split()
LAST='smith jones weber meier schmidt garcia lopez silva santos kim lee chen wang li zhang singh kumar patel khan ali ivanov petrov nowak rossi ferrari martin bernard dubois moreau jensen hansen larsen berg lund novak horvat kovac nagy toth popescu ionescu yilmaz demir sato suzuki tanaka'.split()
DICT=W
def zipf_cum(n,s):
    c=[];t=0
    for i in range(1,n+1):
        t+=1/i**s; c.append(t)
    return c
class Pool:
    def __init__(self,make,n,s,rnd):
        seen=[];h=set()
        tries=0
        while len(seen)<n and tries<n*20:
            v=make(rnd); tries+=1
            if v not in h: h.add(v); seen.append(v)
        self.v=seen; self.c=zipf_cum(len(seen),s)
    def pick(self,rnd): return self.v[bisect.bisect_left(self.c,rnd.random()*self.c[-1])]
def username(r):
    f,l=r.choice(FIRST),r.choice(LAST); k=r.random()
    if k<.2: return f+l
    if k<.35: return f[0]+l
    if k<.5: return f+str(r.randint(1,99))
    if k<.6: return f+'-'+l
    if k<.7: return f+'_'+l
    if k<.9: return r.choice(W)+r.choice(['','dev','hq','io','x',str(r.randint(1,999))])
    return r.choice(W)
def repo(r): return r.choice(PK)
def word(r): return r.choice(W)
def slug(r): return '-'.join(r.choice(W) for _ in range(r.choice([1,2,2,3,3,4,5,6])))
def integer(lo,hi): return lambda r: str(int(lo*((hi/lo)**r.random())))
def uuid(r): h='%032x'%r.getrandbits(128); return f'{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}'
def hexn(n): return lambda r: '%0*x'%(n,r.getrandbits(n*4))
def b62(n): return lambda r: ''.join(r.choice(string.ascii_letters+string.digits) for _ in range(n))
def pref(p,n=24): g=b62(n); return lambda r: p+'_'+g(r)
def kname(r):
    b='-'.join(r.choice(W) for _ in range(r.choice([1,1,2,2,3]))); k=r.random()
    if k<.35: return b+'-'+hexn(10)(r)[:10]+'-'+''.join(r.choice('bcdfghjklmnpqrstvwxz2456789') for _ in range(5))
    if k<.45: return b+'-'+str(r.randint(0,9))
    return b
def tag(r): return ('v' if r.random()<.6 else '')+f'{r.randint(0,12)}.{r.randint(0,20)}.{r.randint(0,30)}'
def branch(r): return r.choice(['main','master','develop','dev','release','staging']) if r.random()<.5 else slug(r)
def secret(r): return '_'.join(r.choice(W) for _ in range(r.choice([1,2,2,3]))).upper()
def fname(r): return slug(r)+r.choice(['.md','.rs','.py','.json','.txt','.js'])
def filepath(r): return '/'.join([r.choice(['src','lib','docs','app','test',r.choice(W)])]*(r.random()<.8)+[r.choice(W) for _ in range(r.choice([0,0,1,1,2,3]))]+[fname(r)])
def locale(r): return r.choice('en de fr es it pt-BR nl pl ja zh-CN ko ru'.split())
def date(r): return f'20{r.randint(19,26)}-{r.randint(1,12):02d}-{r.randint(1,28):02d}'
def enum(*v): return lambda r: r.choice(v)
def domain(r): return r.choice(W)+r.choice(['.com','.org','.io','.net','.de'])
def code(r): return ''.join(r.choice('ABCDEFGHJKMNPQRSTUVWXYZ23456789') for _ in range(8))
def make_pool(api,tmpl,name,rnd):
    """(generator, population, skew) by the parameter's name and the place it stands in"""
    prev=tmpl[:tmpl.index('{'+name+'}')].rstrip('/').rsplit('/',1)[-1]
    big=int(10**rnd.uniform(2.2,4.2)); mid=int(10**rnd.uniform(1.5,3)); small=rnd.randint(3,9)
    n=name
    if api=='payments':
        P={'charge':'ch','customer':'cus','source':'card','refund':'re','invoice':'in','item':'ii','account':'acct','person':'person','payout':'po','sub':'sub','event':'evt','dispute':'dp','file':'file','link':'plink','session':'cs','transfer':'tr','reversal':'trr','method':'pm','intent':'pi','coupon':None,'webhook':'we','country':None,'feature':None,'report':'frr','type':None}
        if n=='coupon': return (lambda r:r.choice(W).upper()+str(r.choice([5,10,15,20,25,50]))),60,.9
        if n=='country': return enum('US','DE','FR','GB','IT','ES'),6,.9
        if n=='feature': return enum('card_payments','transfers','sepa','tax_reporting'),4,.9
        if n=='type': return enum('balance.summary.1','payouts.itemized.3','ending_balance.1','activity.2'),4,.9
        if n=='tok': return (lambda r: base64.urlsafe_b64encode(bytes(r.getrandbits(8) for _ in range(24))).decode().rstrip('=')),big,.8
        if n=='iban': return (lambda r: 'DE'+''.join(r.choice('0123456789') for _ in range(20))),mid,.8
        return pref(P.get(n,n[:3]),24 if len(n)%2 else 14),big,.8
    if api=='wordpress':
        if n in('post',): return slug,600,.9
        if n in('cat','sub'): return slug if n=='sub' else enum(*[w+'-'+v for w in ('home','garden','tech','food','news','travel') for v in ('tips','ideas','world')]),18,.9
        if n=='tag': return slug,300,.9
        if n=='author': return username,12,.9
        if n=='page': return integer(2,60),40,.9
        if n=='year': return (lambda r:str(r.randint(2012,2026))),14,.9
        if n=='month': return (lambda r:f'{r.randint(1,12):02d}'),12,.3
        if n=='day': return (lambda r:f'{r.randint(1,28):02d}'),28,.3
        if n=='asset': return (lambda r: slug(r)+r.choice(['-150x150.jpg','.jpg','-1024x683.webp','.png','.pdf'])),1500,.8
        if n=='plug': return (lambda r: r.choice(['contact-form-7','woocommerce','elementor','yoast-seo'])+'/'+r.choice(['assets/js/','assets/css/','includes/','dist/vendor/'])+slug(r)+r.choice(['.min.js','.css','.woff2','.svg'])),200,.8
        if n=='inc': return (lambda r: r.choice(['js/','js/jquery/','css/dist/block-library/','images/smilies/'])+word(r)+r.choice(['.min.js','.css','.png'])),60,.8
        if n=='product': return slug,400,.9
        if n=='type': return enum('post','page','product','attachment'),4,.5
        if n=='taxonomy': return enum('category','post_tag','product_cat'),3,.5
        return integer(1,90000),big,.8
    if api=='springshop':
        if n=='locale': return enum('de','en','fr','de-CH','en-GB','nl','it'),7,1.0
        if n=='cat': return enum('damen','herren','kinder','sale','schuhe','sport','wohnen','beauty'),8,.8
        if n=='sub': return slug,60,.9
        if n=='product': return (lambda r: slug(r)+'-p'+str(r.randint(10000,999999))),1500,.8
        if n=='article': return slug,250,.9
        if n in('order','cart'): return uuid,big,.8
        if n=='sku': return (lambda r: ''.join(r.choice('ABCDEFGHJKLMNPQRSTUVWXYZ') for _ in range(3))+'-'+str(r.randint(1000,99999))+'-'+r.choice(['S','M','L','XL'])),1500,.8
        if n=='warehouse': return enum('BER1','HAM2','MUC1','FRA3','CGN1'),5,.9
        if n=='date': return date,400,.4
        if n=='year': return (lambda r:str(r.randint(2019,2026))),8,.9
        if n=='month': return (lambda r:f'{r.randint(1,12):02d}'),12,.3
        if n=='day': return (lambda r:f'{r.randint(1,28):02d}'),28,.3
        if n=='store': return slug,40,.9
        if n=='img': return (lambda r: hexn(2)(r)+'/'+hexn(2)(r)+'/'+hexn(32)(r)+r.choice(['.jpg','.webp'])),2000,.7
        if n=='matrix': return (lambda r: f'{r.randint(1,900)};color={r.choice(["red","blue"])};size={r.choice("SML")}'),400,.8
        if n=='logger': return (lambda r: 'com.acme.'+word(r)+'.'+word(r).title()+r.choice(['Service','Controller'])),40,.8
        if n=='metric': return (lambda r: r.choice(['jvm','http','tomcat','hikaricp'])+'.'+word(r)+'.'+word(r)),50,.8
        if n=='voucher': return code,500,.7
        if n=='user': return username,1500,.8
        if n=='token': return b62(40),big,.5
        return integer(10,10**6),big,.8
    if api=='stripe':
        p={'customers':'cus','charges':'ch','payment_intents':'pi','accounts':'acct','subscriptions':'sub','invoices':'in','products':'prod','prices':'price'}.get(prev,prev[:4].rstrip('s_'))
        return pref(p),big,.8
    if api=='kubernetes':
        if n=='namespace' or prev=='namespaces': return kname,40,1.0
        if n=='path': return filepath,mid,.8
        if n in('logpath',): return filepath,mid,.8
        return kname,big,.8
    if api=='cloudflare':
        if n in('zone_id','account_id'): return hexn(32),mid,.9
        if n.endswith('_name') or n in('name','dataset','asn','bucket_name','script_name','project_name','location'): return slug,mid,.8
        return (hexn(32) if rnd.random()<.5 else uuid),big,.8
    if api=='openai':
        p={'model':None,'voice':None}
        if n in('model',): return slug,30,.9
        return pref(n.split('_')[0][:6]+'',24),big,.8
    if api=='twilio':
        if 'sid' in n or n in('id','key'): return (lambda q: lambda r:q+hexn(32)(r))(''.join(rnd.choice('ABCDEFGHIJKLMNOPQRSTUVWXYZ') for _ in range(2))),big,.8
        if n in('country_code','iso_country','isoCountry'): return enum('US','DE','FR','GB','IT','ES','CA','AU','JP','BR','NL','SE'),12,.9
        if 'phone' in n or n in('number',): return lambda r:'+1'+str(r.randint(2000000000,9999999999)),big,.8
        return slug,mid,.8
    if api=='digitalocean':
        if n.endswith('uuid') or n in('app_id','deployment_id','k8s_cluster','cluster_id','node_pool_id','load_balancer_id','lb_id','firewall_id','vpc_id','domain_id','certificate_id','endpoint_id','cdn_id','volume_id','project_id','check_id','alert_id','namespace_id','trigger_name','connection_id','actor_id','key_id') : return uuid,big,.8
        if n in('domain_name',): return domain,mid,.9
        if 'name' in n or n in('tag_id','server_ref','slug','database_name','username'): return slug if n!='username' else username,mid,.8
        if n in('registry_name',): return word,mid,.8
        if n in('sha','manifest_digest'): return lambda r:'sha256:'+hexn(64)(r),big,.8
        return (integer(1000,9*10**8),big,.8) if rnd.random()<.6 else (uuid,big,.8)
    if n in('owner','org','enterprise','organization','group_id','template_owner'): 
        if api=='gitlab': return integer(10,10**6),mid,.9
        return username,{'enterprise':20,'org':300}.get(n,1500),.9
    if n in('repo','template_repo'): return repo,3000,.9
    if n in('project_id',) and api=='gitlab': return (lambda r: username(r)+'%2F'+repo(r) if r.random()<.25 else integer(10,10**7)(r)),3000,.9
    if n in('username','assignee','account_login','developer','user','account'): return username,3000,.8
    if n=='tag' or n=='tag_name': return tag,mid,.8
    if n in('branch',): return branch,mid,.8
    if n in('ref','basehead','head'): return (lambda r: branch(r) if r.random()<.7 else hexn(40)(r)),mid,.8
    if n in('path',): return filepath,big,.7
    if n in('secret_name','name') and ('secrets' in tmpl or 'variables' in tmpl) or n in('key','variable_name'): return secret,mid,.8
    if n.endswith('sha') or n in('digest','subject_digest','sha'): return hexn(40),big,.7
    if n in('gist_id',): return hexn(32),big,.8
    if n in('environment_name',): return enum('production','staging','preview','development','qa'),5,.8
    if n in('package_type','ecosystem'): return enum('npm','maven','rubygems','docker','nuget','container'),6,.8
    if n in('ghsa_id',): return lambda r:'GHSA-'+'-'.join(''.join(r.choice('23456789cfghjmpqrvwx') for _ in range(4)) for _ in range(3)),mid,.8
    if n in('cve_id',): return lambda r:f'CVE-20{r.randint(18,26)}-{r.randint(1000,60000)}',mid,.8
    if n in('license',): return enum('mit','apache-2.0','gpl-3.0','bsd-3-clause','lgpl-2.1','mpl-2.0','unlicense'),7,.8
    if n in('archive_format',): return enum('zip','tar'),2,.8
    if n in('flag',): return enum('active','new','staff','suspended','blocked'),5,.8
    if n in('provider',): return enum('google','github','saml','oidc'),4,.8
    if n in('day','date'): return date,mid,.8
    if n in('year',): return lambda r:str(r.randint(2012,2026)),12,.9
    if n in('month',): return lambda r:f'{r.randint(1,12):02d}',12,.5
    if n in('lang','locale','language'): return locale,12,.9
    if n in('hashtag',): return word,mid,.9
    if n in('client_id',): return lambda r:'Iv1.'+hexn(16)(r),mid,.8
    if n in('code','token','access_token','uidb64','hash','external_id','delivery_id','attempt_id') : return b62(22),big,.7
    if n in('filename',): return lambda r: slug(r)+'-'+date(r)+'.tar.gz',mid,.8
    if n.endswith('slug') or n in('slug','category_slug','dimension_name','workflow_name','runner_name','template','template_name','label','team_slug','package_name','name','title','public_key','pages','security_product','custom_property_name','hostname','image_definition_id','workspace_name','wiki'): return slug,mid,.8
    if n in('pk','parent_pk','id','iid') or n.endswith('_id') or n.endswith('number') or n.endswith('iid') or n.endswith('_pk') or n in('n','vid','line'):
        return integer(10,10**7),big,.8
    if n in('file_sha','tree_sha','commit_sha'): return hexn(40),big,.7
    if n in('number',): return integer(10,10**6),big,.8
    return slug,mid,.8
CATCH={('wordpress','plug'),('wordpress','inc'),('springshop','img'),('github','path'),('github','ref'),('kubernetes','path'),('kubernetes','logpath')}
def erase(api,t):
    segs=[]
    for s in t.split('/')[1:]:
        ps=re.findall(r'\{([^}]+)\}',s)
        if ps:
            if (api,ps[0]) in CATCH and (api!='github' or ps[0]=='path' or '/git/' in t): segs.append('{*}'); 
            else:
                a=s.index('{'); b=s.rindex('}')
                segs.append(s[:a]+'{}'+s[b+1:])
        else: segs.append(s)
    return '/'+'/'.join(segs)
SCAN=['/wp-login.php','/.env','/.git/config','/phpmyadmin/index.php','/admin/config.php','/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php','/cgi-bin/luci','/actuator/health','/solr/admin/info/system','/HNAP1','/boaform/admin/formLogin','/.aws/credentials','/server-status','/owa/auth/logon.aspx','/api/jsonws/invoke','/xmlrpc.php','/wp-content/plugins/{w}/readme.txt','/backup/{w}.sql','/{w}.php','/{w}/.env','/old/{w}','/{w}/{w}.zip','/api/{w}','/api/v1/{w}','/{w}','/.well-known/{w}','/{w}/admin','/users/{w}.bak']
class Traffic:
    def __init__(self,api,seed=1,zs=1.0,noise=.05,soft404=False,miss=.02,clients=5000):
        self.r=random.Random(f'{api}{seed}'); r=self.r; self.api=api
        self.routes=[(m,t,erase(api,t)) for m,t in T[api] if '{plural}' not in t and '{group}' not in t]
        r.shuffle(self.routes)
        # templates that are listed together share volume by their place: a resource is hot or cold as a whole, GETs more than writes
        hot={}
        w=[]
        for i,(m,t,e) in enumerate(self.routes):
            w.append(1/(i+1)**zs*{'GET':1,'POST':.5}.get(m,.25))
        self.cum=list(itertools.accumulate(w))
        self.pools={}; self.noise=noise; self.soft=soft404; self.miss=miss; self.clients=zipf_cum(clients,.7)
    def pool(self,t,name):
        pre=t[:t.index('{'+name+'}')]
        k=('','namespace') if self.api=='kubernetes' and (name=='namespace' or (name=='name' and pre.endswith('namespaces/'))) else (pre if not (name in('owner','repo','org','namespace','project_id','username')) else '',name)
        if k not in self.pools:
            g,n,s=make_pool(self.api,t,name,self.r); self.pools[k]=Pool(g,n,s,self.r)
        return self.pools[k]
    def __iter__(self):
        r=self.r
        while True:
            c=bisect.bisect_left(self.clients,r.random()*self.clients[-1])
            if r.random()<self.noise:
                p=re.sub(r'\{w\}',lambda _:r.choice(W),r.choice(SCAN))
                m='GET' if r.random()<.85 else 'POST'
                yield (m,p,200 if self.soft else (404 if r.random()<.93 else r.choice([403,405,301])),100000+r.randint(0,3),None); continue
            i=bisect.bisect_left(self.cum,r.random()*self.cum[-1])
            m,t,e=self.routes[i]
            p=re.sub(r'\{([^}]+)\}',lambda mo:self.pool(t,mo.group(1)).pick(r),t)
            has='{' in t
            k=r.random()
            st=404 if has and k<self.miss else 401 if k<self.miss+.01 else 500 if k<self.miss+.013 else 304 if k<.1 and m=='GET' else {'POST':201,'DELETE':204}.get(m,200)
            yield (m,p,st,c,(m,e))
if __name__=='__main__':
    # gen.py API SEED REQUESTS [NOISE [soft404]]: method, path, status, client and the true template, a request a line
    import sys
    api,seed,n=sys.argv[1],int(sys.argv[2]),int(sys.argv[3])
    noise=float(sys.argv[4]) if len(sys.argv)>4 else .05
    tr=Traffic(api,seed=seed,noise=noise,soft404='soft404' in sys.argv)
    for m,p,st,c,e in itertools.islice(iter(tr),n):
        sys.stdout.write(f'{m}\t{p}\t{st}\t{c}\t{e[1] if e and st<400 else ""}\n')
