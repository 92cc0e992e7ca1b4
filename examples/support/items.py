"""What shops sell, what they are called, who carries their parcels."""

# English; plural; Chinese; Chinese measure word; lowest and highest price.
ITEMS = [tuple(row.split("/")) for row in """
kettle/kettles/电水壶/个/18/60; desk lamp/desk lamps/台灯/盏/15/70; backpack/backpacks/背包/个/25/90
mug/mugs/马克杯/个/5/18; keyboard/keyboards/键盘/个/20/99; mouse/mice/鼠标/个/10/60
headset/headsets/耳麦/副/20/120; blanket/blankets/毛毯/条/15/60; pillow/pillows/枕头/个/10/40
notebook/notebooks/笔记本/本/3/12; umbrella/umbrellas/雨伞/把/8/35; toaster/toasters/面包机/台/20/80
clock/clocks/闹钟/个/9/45; chair/chairs/椅子/把/35/150; towel/towels/毛巾/条/5/20
bottle/bottles/水杯/个/8/30; jacket/jackets/外套/件/35/140; phone case/phone cases/手机壳/个/6/25
pair of shoes/pairs of shoes/鞋子/双/30/120; charger/chargers/充电器/个/9/40
speaker/speakers/音箱/个/20/130; frying pan/frying pans/平底锅/口/15/70; camera/cameras/相机/台/80/190
puzzle/puzzles/拼图/盒/8/30; coffee machine/coffee machines/咖啡机/台/60/199
blender/blenders/搅拌机/台/25/90; rice cooker/rice cookers/电饭煲/个/30/120
vacuum cleaner/vacuum cleaners/吸尘器/台/60/190; fan/fans/电风扇/台/20/80; heater/heaters/取暖器/台/25/99
hair dryer/hair dryers/吹风机/个/15/80; toothbrush/toothbrushes/牙刷/支/3/60; mirror/mirrors/镜子/面/10/70
curtain/curtains/窗帘/块/15/60; carpet/carpets/地毯/块/30/150; bookshelf/bookshelves/书架/个/40/160
table/tables/桌子/张/45/199; sofa cushion/sofa cushions/靠垫/个/8/35; mattress/mattresses/床垫/张/90/199
bed sheet/bed sheets/床单/条/15/60; candle/candles/蜡烛/支/4/20; vase/vases/花瓶/个/10/50
knife/knives/菜刀/把/10/60; pot/pots/汤锅/口/20/80; plate/plates/盘子/个/4/18; bowl/bowls/碗/个/3/15
lunch box/lunch boxes/饭盒/个/8/35; thermos/thermoses/保温杯/个/12/45; tent/tents/帐篷/顶/60/190
sleeping bag/sleeping bags/睡袋/个/30/99; bicycle/bicycles/自行车/辆/120/199
helmet/helmets/头盔/个/20/80; football/footballs/足球/个/10/40; yoga mat/yoga mats/瑜伽垫/张/12/45
skateboard/skateboards/滑板/块/30/99; suitcase/suitcases/行李箱/个/45/180; wallet/wallets/钱包/个/15/70
belt/belts/皮带/条/12/50; hat/hats/帽子/顶/10/40; scarf/scarves/围巾/条/10/50; sweater/sweaters/毛衣/件/25/90
shirt/shirts/衬衫/件/15/70; T-shirt/T-shirts/T恤/件/8/35; dress/dresses/连衣裙/条/25/120
coat/coats/大衣/件/50/190; watch/watches/手表/块/30/190; ring/rings/戒指/枚/20/190
necklace/necklaces/项链/条/15/150; handbag/handbags/手提包/个/30/180; tablet/tablets/平板电脑/台/90/199
laptop stand/laptop stands/电脑支架/个/15/60; monitor/monitors/显示器/台/90/199
printer/printers/打印机/台/60/190; router/routers/路由器/个/25/120; power bank/power banks/充电宝/个/12/60
USB cable/USB cables/数据线/条/4/20; memory card/memory cards/存储卡/张/8/50
microphone/microphones/麦克风/个/20/120; guitar/guitars/吉他/把/60/199; board game/board games/桌游/盒/12/60
teddy bear/teddy bears/玩具熊/个/8/40; doll/dolls/洋娃娃/个/8/45; drill/drills/电钻/把/35/140
hammer/hammers/锤子/把/8/30; garden hose/garden hoses/水管/根/12/50; plant pot/plant pots/花盆/个/4/25
tea set/tea sets/茶具/套/20/120; box of tea/boxes of tea/茶叶/盒/6/45; pen/pens/钢笔/支/3/40
air fryer/air fryers/空气炸锅/个/40/150; scale/scales/体重秤/台/12/60; humidifier/humidifiers/加湿器/台/15/80
""".replace("\n", ";").split(";") if row.strip() for row in [row.strip()]]
ITEMS = [(*row[:4], (int(row[4]), int(row[5]))) for row in ITEMS]

FIRST = ["North", "Blue", "Silver", "Maple", "Harbor", "Bright", "River", "Oak", "Kite", "Sun",
         "Green", "Stone", "Fox", "Cedar", "Moon", "Golden", "Snow", "Lake", "Red", "Happy"]
SECOND = ["wind", "bird", " Lane", "side", "field", " Home", " & Co", " Store", " Goods", "leaf",
          "wood", " Market", " Supply", "point", "ville", "bay", " Outfitters", "house"]
FIRST_ZH = ["青禾", "蓝鸟", "云朵", "小满", "橙子", "木子", "星河", "春山", "四季", "白鹿", "东篱", "海棠",
            "大树", "快乐", "山海", "晨光", "明月", "半夏", "好物", "南风"]
SECOND_ZH = ["商城", "家居", "优品", "生活", "数码", "良品", "商店", "家品", "优选", "小店", "百货", "超市",
             "旗舰店", "工坊"]
CARRIERS = [("DHL", "DHL"), ("UPS", "UPS"), ("FedEx", "FedEx"), ("GLS", "GLS"), ("DPD", "DPD"),
            ("EMS", "EMS"), ("Hermes", "Hermes"), ("TNT", "TNT"), ("Royal Mail", "Royal Mail"),
            ("PostNL", "PostNL"), ("USPS", "USPS"), ("SF Express", "顺丰"), ("ZTO", "中通"),
            ("YTO", "圆通"), ("JD Logistics", "京东"), ("Yunda", "韵达"), ("STO", "申通"),
            ("Best Express", "百世"), ("J&T", "极兔"), ("Deppon", "德邦")]
STREETS = ["Mill Street", "King Street", "Station Road", "Park Avenue", "High Street",
           "Garden Lane", "Bridge Road", "Church Street", "Market Square", "Lake Road"]
STREETS_ZH = ["人民路", "中山路", "解放路", "建设路", "和平街", "文化路", "长江路", "新华街", "幸福路", "花园路"]
PAYMENTS = [("card", "银行卡"), ("PayPal", "PayPal"), ("bank transfer", "银行转账"),
            ("Apple Pay", "Apple Pay"), ("Alipay", "支付宝"), ("WeChat Pay", "微信支付"),
            ("cash on delivery", "货到付款"), ("gift card", "礼品卡")]
