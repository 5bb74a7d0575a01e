"""Common English words, for assistant_rubric.py: what a letter to a customer may be written with.

Only stems: the rubric also knows a stem with a regular ending (-s, -es, -ed, -ing, -ly, -er, -est, -ment, -ness, 's).
Words of the training prompts and demonstrations are known beside these.
"""

WORDS = frozenset(
    """
a able about above absolute accept access accident accommodate according account accurate across act action active
actual adapt add address adjust admin admit adult advance advantage advice advise affect afford afraid after afternoon
again against age agent ago agree ahead aim air airport alarm album alert alike alive all allergy allow almost alone
along already alright also alternative although always amaze amend among amount an ancient and angry animal annoy
another answer anticipate anxious any anybody anymore anyone anything anyway anywhere apart apartment apologise
apologize apology app apparent appeal appear apple application apply appoint appreciate approach appropriate approve
approximate april are area argue arm around arrange arrive art article as aside ask asleep assess assign assist assume
assure at attach attempt attend attention attract august authority automatic autumn available average avoid awake aware
away awful baby back background bad badge bag bake balance ball band bank bar base basic basket bath bathroom battery be
beach bear beat beautiful became because become bed bedroom been before began begin behalf behave behind being believe
bell belong below belt bench benefit beside best better between beyond big bike bill bird birth birthday bit bite bitter
black blame blank blanket blend block blood blow blue board boat body boil bone book boot border borrow boss both bother
bottle bottom bought bowl box boy brain brake branch brand bread break breakfast breath bridge brief bright bring broke
broken brother brought brown browser brush budget bug build built bulk burn bus business busy but button buy by cable
cake calculate calendar call calm came camera camp can cancel candle cannot capable capacity car card care careful
carpet carrier carry case cash cat catch category caught cause cautious cease celebrate cent central centre certain
certificate chain chair challenge chance change channel chapter character charge charger charity chat cheap check
checkout cheer cheese chef chemist chest chicken chief child children chocolate choice choose chose chosen christmas
circle circumstance city claim clarify class classic clean clear clerk clever click client climb clinic clock close
cloth clothes clothing cloud club clue coach coast coat code coffee coin cold collar collect college color colour column
comb combine come comfort comma command comment commit common communicate community company compare compensate complain
complaint complete complex complicated compliment computer concept concern concert condition confident confirm confuse
congratulations connect conscious consequence consider consist constant consult consumer contact contain content context
continue contract contribute control convenient conversation cook cool copy corner correct cost cottage cough could
counter country couple coupon courier course court cousin cover crack craft crash crazy cream create credit crew crime
critical criticise cross crowd cruel cry cup current curtain cushion custom customer cut cycle dad daily damage dance
danger dare dark data database date daughter dawn day dead deal dear death debit debt december decent decide declare
decline decorate deep default defect define definite degree delay delete deliver delivery demand dent deny depart
department depend deposit depth describe deserve design desk despite dessert destination detail determine develop device
diary did die diet differ different difficult dig digital dinner direct dirt dirty disappoint disappointing discount
discover discuss disgust dish dislike display dispute distance distract disturb divide do doctor document does dog
dollar done door double doubt down download dozen drag drain draw drawer dream dress drink drive driver drop dry due
dull during dust duty each ear early earn earth easily east easy eat edge edit educate effect effective efficient effort
egg either elderly electric electrical electricity electronic element else elsewhere email embarrass emergency emotion
employ empty enable encounter encourage end energy engage engine engineer enjoy enough enquire enquiry ensure enter
entertain entire entitle entrance entry envelope environment equal equip error especially essential estate estimate euro
even evening event eventual ever every everybody everyone everything everywhere evidence exact exam examine example
excellent except exception exchange excite exclude excuse exercise exhaust exist expect expense expensive experience
expert expertise expire explain explore express extend extra extreme eye face fact factor factory fail failure faint
fair faith fall false familiar family fan far fare farm fashion fast father fault favorite favour favourite fear feature
february fee feed feedback feel feet fell fellow felt fence few field fight figure file fill film filter final finally
finance find fine finger finish fire firm first fish fit fix flag flash flat flavour flexible flight float flood floor
flour flower fly focus fold folder follow food fool foot for force foreign forest forever forget forgive forgot
forgotten form formal former forward found frame fraud free freedom freeze fresh friday fridge friend fright from front
frozen fruit frustrate frustrating frustration fuel full fully fun function fund funny furniture further furthermore
future gain game garage garden gas gate gather gave general generate generous gentle genuine get gift girl give given
glad glass global glove glue go goal god goes gold gone good goodbye goods got government grace grade grand grant grass
grateful great green greet grey grocery ground group grow guarantee guard guess guest guide guideline guilty habit had
hair half hall hand handle hang happen happy hard harm has hassle hat hate have he head headache heal health hear heard
heart heat heating heavy heel height held hello help helpful hence her here hers herself hesitate hi hidden hide high
highlight highly him himself hire his hit hold hole holiday home honest honour hope horrible hospital host hot hotel
hour house household how however hug huge human humour hundred hungry hurry hurt husband ice idea ideal identify
identity if ignore ill image imagine immediate impact imply import important impossible impress improve in inbox inch
include income inconvenience inconvenient incorrect increase incredible indeed independent indicate individual industry
influence inform information ingredient initial injure inquire inquiry insert inside insist inspect install instance
instant instead instruct insurance insure intend intention interest interested internal international internet interrupt
interview into introduce investigate invite invoice involve iron irritate is island issue it item its itself jacket
january jar jeans jewel job join joke journey joy judge juice july jump june just justice keen keep kept kettle key
keyboard kid kill kind kindly kit kitchen knee knew knife knock know knowledge label lack ladder lady laid lake lamp
land language laptop large last late lately later latest laugh laundry law lawn lay layout lazy lead leaf leak learn
lease least leather leave led left leg legal lend length less lesson let letter level liable library licence license lid
lie life lift light like likely limit line link lip liquid list listen litre little live load loan local locate location
lock locker log lonely long look loose lose loss lost lot loud lounge love lovely low loyal luck lucky luggage lunch
machine mad made magazine mail main maintain maintenance major make male man manage manager manner manual manufacture
many map march mark market married match mate material matter mattress maximum may maybe me meal mean meaning meant
meantime measure meat mechanic media medical medicine medium meet meeting member membership memory men mend menu mess
message met metal meter method middle might mild mile milk mind mine minimum minor minute mirror miss mistake
misunderstand misunderstanding mix mobile mode model modern moment monday money monitor month mood more moreover morning
most mother motor mouth move movie much mud multiple mum museum music must my myself nail name narrow nation national
natural nature near nearby neat necessary neck need needle negative neighbour neither nervous net network never
nevertheless new news newspaper next nice night no nobody noise noisy none nor normal north nose not note nothing notice
notify november now nowhere nuisance number numerous nurse object obtain obvious occasion occur october odd of off offer
office officer official often oil okay old on once one ongoing online only onto open operate opinion opportunity option
or orange order ordinary organise organize origin original other otherwise ought our ours ourselves out outcome outdoor
outside oven over overall overlook overnight owe own owner pack package page paid pain paint pair pan panel panic paper
parcel pardon parent park part particular partner party pass passage passenger passport password past patch path patient
pattern pause pay payment peace peculiar pen penalty pencil people pepper per percent perfect perform perhaps period
permanent permit person personal pet phone photo photograph phrase physical piano pick picture piece pile pill pillow
pin pink pipe place plain plan plane plant plastic plate platform play please pleased pleasure plenty plug plus pocket
point police policy polite pool poor pop popular portion position positive possible post postage postal poster postpone
potato potential pound pour power practical practice praise pray precise prefer preference prepare prescription present
preserve press pressure pretend pretty prevent previous price pride primary print printer prior priority privacy private
prize probable problem procedure proceed process produce product profession professional profile profit program
programme progress project prolong promise prompt proof proper property proportion propose protect proud prove provide
provider public pull pump puncture purchase pure purple purpose purse pursue push put puzzle qualify quality quantity
quarter query question queue quick quiet quit quite quote rail rain raise ran range rare rate rather reach react read
ready real realise realize really reason reasonable reassure rebook recall receipt receive recent reception recipe
recipient reckon recognise recognize recommend record recover recovery red redirect reduce refer reference reflect
refresh refund refuse regard regarding region register registration regret regular reject relate relation release
relevant reliable relief relieve reload rely remain remark remedy remember remind remote remove renew rent repair repeat
replace replacement reply report represent request require rescue research resend reservation reserve reset resident
resolve resource respect respond response responsible rest restart restaurant restore result resume retail retain retire
retry return reveal reverse review reward rid ride right ring rise risk road roll roof room rough round route router
routine row rub rubbish rude rule run rush sad safe safety said sale salt same sample sand sat satisfy saturday sauce
save saw say scale scan scare scene schedule school scratch screen screw sea seal search season seat second secret
section secure security see seek seem seen select self sell send senior sense sensible sensitive sent sentence separate
september serial series serious serve server service session set setting settle several severe shade shake shall shame
shape share sharp she shed sheet shelf shell shine ship shipment shirt shock shoe shop short should shoulder shout show
shower shown shut sick side sign signal silence silent silly silver similar simple since sincere single sink sister sit
site situation size skill skin skip sky sleep slice slide slight slip slot slow small smart smell smile smoke smooth
snow so soap social society sock sofa soft software sold solid solution solve some somebody somehow someone something
sometimes somewhere son song soon sore sorry sort soul sound soup source south space spare speak special specialist
specific spell spend spent spill spirit spoil spoke spoken spot spread spring square stable staff stage stain stair
stamp stand standard star start state statement station status stay steal steam steel step stick sticky still stock
stole stolen stomach stone stood stop storage store storm story straight straightforward strange stranger stream street
strength stress stretch strict string strip strong struggle stuck student study stuff style subject submit subscribe
subscription substitute success such sudden suffer sugar suggest suit suitable summer sun sunday supper supply support
suppose sure surface surprise surround survey suspect sweet swim switch symbol sympathy system table tablet tag tail
take taken talk tall tap tape target task taste tax tea teach team tear tech technical technician technology telephone
tell temper temperature temporary tend term terrible test text than thank thanks that the theatre their them themselves
then there therefore these they thick thin thing think third this thorough those though thought thousand thread threat
three threw through throughout throw thumb thursday thus tick ticket tidy tie tight till time tin tiny tip tire to today
toe together toilet told tomorrow tone tongue tonight too took tool tooth top total touch tough tour toward towards
towel tower town toy track traffic trail train transaction transfer translate transport trash travel tray treat
treatment tree trial trick trip trouble truck true truly trust truth try tuesday tune turn twice two type typical ugly
uncle under undergo underneath understand understood undo unfair unfortunate uniform unique unit united unless unlike
until unusual up update upgrade upload upon upper upset upstairs urge urgent us use useful user usual utility vacation
valid valuable value van variety various vary vast vegetable vehicle verify version very via video view village violate
virtual visible visit visitor voice volume vote voucher wage wait waiter wake walk wall wallet want wardrobe warehouse
warm warn warranty was wash washer waste watch water wave way we weak wear weather web website wedding wednesday week
weekend weigh weight welcome well went were west wet what whatever wheel when whenever where whereas wherever whether
which while white who whoever whole whom whose why wide wife wild will willing win wind window wine winter wipe wire
wise wish with withdraw within without woke woman women won wonder wonderful wood word wore work worker workshop world
worn worry worse worst worth would wrap write written wrong wrote yard year yellow yes yesterday yet you young your
yours yourself yourselves youth zero zone
""".split()  # noqa: SIM905  (one word after another is easier to read than pairs of quotes)
)
"""Stems that are known beside those of the training files."""
